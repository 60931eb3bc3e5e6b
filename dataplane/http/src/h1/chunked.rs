//! Chunked request bodies, within bounds and strictly.

use crate::problem::Refusal;

/// The longest chunk-size line: eight digits and some extension nobody reads.
const SIZE_LINE_BYTES: usize = 128;

/// Puts the chunks at the beginning of `wire` together in `body`. Says how many bytes they took on the wire, or
/// nothing if the last chunk isn't there yet. Trailer fields are checked and left out.
///
/// # Errors
///
/// Malformed if the framing is; too large if there are more than `body_bytes` in the chunks or more than
/// `wire_bytes` on the wire.
pub(crate) fn decode(
    wire: &[u8],
    body: &mut Vec<u8>,
    body_bytes: usize,
    wire_bytes: usize,
) -> Result<Option<usize>, Refusal> {
    body.clear();
    let wire = &wire[..wire.len().min(wire_bytes)];
    match decode_chunks(wire, body, body_bytes)? {
        None if wire.len() == wire_bytes => Err(Refusal::BodyTooLarge),
        found => Ok(found),
    }
}

fn decode_chunks(wire: &[u8], body: &mut Vec<u8>, body_bytes: usize) -> Result<Option<usize>, Refusal> {
    let mut at = 0;
    loop {
        let Some(line) = line(&wire[at..], SIZE_LINE_BYTES)? else {
            return Ok(None);
        };
        at += line.len() + 2;
        let size = chunk_size(line)?;
        if size == 0 {
            return trailers(wire, at);
        }
        if size > body_bytes - body.len() {
            return Err(Refusal::BodyTooLarge);
        }
        let rest = &wire[at..];
        let end = &rest[size.min(rest.len())..];
        if !b"\r\n".starts_with(&end[..end.len().min(2)]) {
            return Err(Refusal::Malformed("A chunk does not end where its size says."));
        }
        if end.len() < 2 {
            return Ok(None);
        }
        body.extend_from_slice(&rest[..size]);
        at += size + 2;
    }
}

/// Skips trailer fields up to the empty line; says where the request ends.
fn trailers(wire: &[u8], mut at: usize) -> Result<Option<usize>, Refusal> {
    loop {
        let Some(line) = line(&wire[at..], usize::MAX)? else {
            return Ok(None);
        };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        if line[0].is_ascii_whitespace() || !line.contains(&b':') {
            return Err(Refusal::Malformed("A trailer field is not a header line."));
        }
    }
}

/// A line without its CR LF; nothing if its end isn't there yet.
fn line(wire: &[u8], longest: usize) -> Result<Option<&[u8]>, Refusal> {
    const WRONG: Refusal =
        Refusal::Malformed("A line of the chunked body has a character that is not allowed.");
    let Some(end) = wire
        .iter()
        .position(|byte| byte.is_ascii_control() && *byte != b'\t')
    else {
        return if wire.len() > longest {
            Err(WRONG)
        } else {
            Ok(None)
        };
    };
    match &wire[end..] {
        [b'\r', b'\n', ..] if end <= longest => Ok(Some(&wire[..end])),
        [b'\r'] if end <= longest => Ok(None),
        _ => Err(WRONG),
    }
}

/// One to eight hexadecimal digits, then nothing or an extension.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extended = line.get(digits).is_none_or(|byte| *byte == b';');
    if !(1..=8).contains(&digits) || !extended {
        return Err(Refusal::Malformed(
            "A chunk size must be one to eight hexadecimal digits.",
        ));
    }
    Ok(line[..digits].iter().fold(0, |size, digit| {
        let value = char::from(*digit).to_digit(16).unwrap_or(0);
        size * 16 + value as usize
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(wire: &str) -> Result<Option<(usize, String)>, Refusal> {
        let mut body = Vec::new();
        let len = decode(wire.as_bytes(), &mut body, 16, 96)?;
        Ok(len.map(|len| (len, String::from_utf8(body).unwrap())))
    }

    #[test]
    fn chunks_are_joined_and_the_next_request_is_left_alone() {
        assert_eq!(
            decoded("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nGET"),
            Ok(Some((24, "abcde".into())))
        );
        assert_eq!(decoded("0\r\nx-sum: 1\r\n\r\n"), Ok(Some((15, String::new()))));
    }

    #[test]
    fn every_part_of_a_valid_body_asks_for_more() {
        let whole = "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\nx: y\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(decoded(&whole[..end]), Ok(None), "{:?}", &whole[..end]);
        }
        assert!(decoded(whole).unwrap().is_some());
    }

    #[test]
    fn bad_sizes_and_line_ends_are_malformed() {
        for wire in [
            "g\r\n",
            "\r\n",
            "-1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\n",
            "123456789\r\n",
            "1\n",
            "1\rX",
            "1;\0\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0\r\n x\r\n\r\n",
            "0\r\nnothing\r\n\r\n",
            "0\r\n\n",
        ] {
            assert!(matches!(decoded(wire), Err(Refusal::Malformed(_))), "{wire:?}");
        }
    }

    #[test]
    fn a_body_over_either_bound_is_too_large() {
        assert_eq!(decoded("11\r\n"), Err(Refusal::BodyTooLarge));
        assert_eq!(decoded("ffffffff\r\n"), Err(Refusal::BodyTooLarge));
        assert_eq!(decoded("9\r\n123456789\r\n8\r\n"), Err(Refusal::BodyTooLarge));
        assert_eq!(
            decoded(&format!("0\r\nx:{}", "y".repeat(100))),
            Err(Refusal::BodyTooLarge)
        );
    }
}
