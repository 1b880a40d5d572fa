//! What stands for device-bound sessions where the feature `device-bound` is off: none are bound.

#![allow(dead_code, clippy::needless_pass_by_value, clippy::unused_self, clippy::unnecessary_wraps)]

use std::future::Ready;

use super::request_head::RequestHead;
use super::state::State;
use super::{RequestSession, ResponseActions, SessionData, SessionManager, Shared};
use crate::cookie::CheckedCookie;
use crate::cookie::keys::KeyRing;
use crate::error::Error;

/// There are no calls.
pub(crate) enum DeviceCall {}

pub(crate) struct DeviceAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) actions: ResponseActions,
}

impl<T: SessionData> SessionManager<T> {
    pub(crate) fn device_call(&self, _: &impl RequestHead) -> Option<DeviceCall> {
        None
    }
}

impl<T: SessionData> RequestSession<T> {
    pub(crate) fn answer_device(self, call: DeviceCall) -> Ready<DeviceAnswer> {
        match call {}
    }
}

/// No settings.
#[derive(Debug)]
pub(crate) enum DeviceBinding {}

#[derive(Debug, Default)]
pub(crate) struct DeviceRules;

impl DeviceRules {
    pub(crate) fn new(_: Option<DeviceBinding>, _: &CheckedCookie, _: &KeyRing) -> Result<Self, Error> {
        Ok(Self)
    }
}

#[derive(Debug)]
pub(crate) struct BoundRequest;

impl BoundRequest {
    pub(crate) fn read(_: &DeviceRules, _: &impl RequestHead) -> Self {
        Self
    }
}

impl<T: SessionData> Shared<T> {
    pub(crate) fn check_device(&self, _: &mut State<T>) -> Result<(), Error> {
        let BoundRequest = self.bound_request;
        Ok(())
    }

    pub(crate) fn device_fields(&self, _: u16) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
