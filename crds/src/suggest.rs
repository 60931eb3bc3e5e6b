//! What a person may have meant.

/// The candidate closest to what was written, when it is close enough to be meant.
pub(crate) fn closest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&written, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= edits_max(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between the two; a plural or a word that begins the other counts as one.
fn distance(written: &str, candidate: &str) -> usize {
    let begins = written.len() >= 4 && candidate.starts_with(written);
    let edits = strsim::damerau_levenshtein(written, candidate);
    if begins { edits.min(1) } else { edits }
}

/// A third of the word may be wrong.
fn edits_max(candidate: &str) -> usize {
    (candidate.len() / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_a_case_and_a_beginning_are_understood_and_nonsense_is_not() {
        let fields = ["price", "stock", "limitPerBuyer", "title"];
        assert_eq!(closest("prise", fields), Some("price"));
        assert_eq!(closest("limitperbuyer", fields), Some("limitPerBuyer"));
        assert_eq!(closest("limit", fields), Some("limitPerBuyer"));
        assert_eq!(closest("colour", fields), None);
    }
}
