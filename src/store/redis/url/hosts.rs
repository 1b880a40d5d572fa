//! Hosts and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Why;
use crate::store::redis::target::Host;

pub(crate) const REDIS_PORT: u16 = 6379;
pub(crate) const SENTINEL_PORT: u16 = 26379;
/// Some nodes of a cluster suffice to find the others.
const MAX_HOSTS: usize = 64;
/// What DNS allows.
const MAX_NAME: usize = 253;

/// `host[:port],host[:port]`
pub(crate) fn hosts(list: &str, default_port: u16) -> Result<Vec<Host>, Why> {
    if list.split(',').nth(MAX_HOSTS).is_some() {
        return Err(format!("it names more than {MAX_HOSTS} hosts").into());
    }
    list.split(',').map(|text| host(text.trim(), default_port)).collect()
}

/// `host[:port]`, an IPv6 address in brackets.
fn host(text: &str, default_port: u16) -> Result<Host, Why> {
    let (name, port_text) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, after) =
                bracketed.split_once(']').ok_or("the bracket around an IPv6 address is not closed")?;
            let address: Ipv6Addr =
                address.parse().map_err(|_| "the brackets do not hold an IPv6 address")?;
            let port = match after.strip_prefix(':') {
                None if after.is_empty() => None,
                None => return Err("after an IPv6 address in brackets there is more than a port".into()),
                port => port,
            };
            (host_name(&address.to_string())?, port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("there are several colons in a host: an IPv6 address is written in brackets, \
                            [::1]:6379, and credentials end with an `@`"
                    .into());
            }
            Some((name, port)) => (host_name(name)?, Some(port)),
            None => (host_name(text)?, None),
        },
    };
    let port = port_text.map_or(Some(default_port), port);
    Ok(Host { name, port: port.ok_or("the colon of a host is not followed by a port from 1 to 65535")? })
}

/// A name, or an address without brackets.
pub(crate) fn host_name(name: &str) -> Result<String, Why> {
    if name.is_empty() {
        // Other clients go to this machine then, but an empty host is mostly a variable that is not set.
        return Err("the name of a host is missing: that of this machine is localhost".into());
    }
    let last_label = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let address = match name.parse::<IpAddr>() {
        Ok(address) => Some(address),
        Err(_) if name.len() > MAX_NAME => return Err("the name of a host is too long".into()),
        Err(_) if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) => {
            return Err("a host has a character other than a-z, 0-9, `-`, `.` and `_`".into());
        }
        // Resolvers would read 10.1 as 10.0.0.1.
        Err(_) if last_label.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err("a host ends like an IPv4 address, but is not one".into());
        }
        Err(_) => None,
    };
    if address.is_some_and(|address| address == Ipv4Addr::UNSPECIFIED || address == Ipv6Addr::UNSPECIFIED) {
        return Err("0.0.0.0 and [::] are for servers to listen on: write an address of the server's".into());
    }
    Ok(name.to_owned())
}

pub(crate) fn port(text: &str) -> Option<u16> {
    // `parse` would take `+1`, too.
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    number.filter(|&port| port != 0)
}
