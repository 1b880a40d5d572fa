//! As much of a response as a browser with sessions needs.

/// A response that is complete.
#[derive(Debug)]
pub struct Response<'r> {
    pub status: u16,
    /// Name and value of each cookie that it sets.
    pub cookies: Vec<(&'r str, &'r str)>,
}

/// `None` while something is missing, or if it is no response.
pub fn parse(bytes: &[u8]) -> Option<Response<'_>> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut cookies = Vec::new();
    let mut complete = false;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            complete = body.len() >= value.parse::<usize>().ok()?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            complete = body.ends_with(b"0\r\n\r\n");
        } else if name.eq_ignore_ascii_case("set-cookie") {
            cookies.push(value.split(';').next()?.split_once('=')?);
        }
    }
    complete.then_some(Response { status, cookies })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nset-cookie: id=a=b; Path=/\r\n\r\nhi";
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_none(), "{end}");
        }
        let response = parse(whole).expect("it is complete");
        assert_eq!((response.status, response.cookies), (200, vec![("id", "a=b")]));
    }

    #[test]
    fn chunks_end_with_an_empty_one() {
        let head = "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(parse(format!("{head}2\r\nhi\r\n").as_bytes()).is_none());
        let whole = format!("{head}2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(parse(whole.as_bytes()).expect("it is complete").status, 401);
    }
}
