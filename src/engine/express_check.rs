//! What a manager has to be like for its sessions to be shared with Express.

use crate::codec::Codec;
use crate::cookie::CheckedCookie;
use crate::cookie::signing::Signer;
use crate::engine::SessionData;
use crate::error::Error;
use crate::store::redis::layout::express::check_data;

/// Found out now, it is a mistake; found out later, everybody who comes from Express is a stranger.
pub(super) fn check<T: SessionData>(
    cookie: &CheckedCookie,
    layout: &CheckedCookie,
    signer: &Signer,
    codec: Codec,
) -> Result<(), Error> {
    if let Some(attribute) = cookie.difference(layout) {
        return Err(Error::Config(format!(
            "the manager's cookie and that of the store's ExpressLayout differ in {attribute}: give the layout the \
             cookie that the Express service has, and the manager the same or none"
        )));
    }
    if !signer.knows_express() {
        return Err(Error::Config(
            "the store shares its sessions with Express, whose cookies no key of the manager verifies: build it \
             with `KeyRing::express(secret)`"
                .to_owned(),
        ));
    }
    let data = codec.encode(&T::default())?;
    check_data(&data).map_err(|error| Error::Config(error.to_string()))
}
