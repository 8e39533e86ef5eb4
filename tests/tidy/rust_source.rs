//! Rust source without what is no code: comments and literals blanked, everything else where it was.

/// `text` with comments, strings and characters replaced by spaces; line breaks stay, so line numbers hold.
pub(crate) fn code_only(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let end = end_of_token(&letters, at);
        match end {
            Some(end) => {
                let blank = |letter: &char| if *letter == '\n' { '\n' } else { ' ' };
                code.extend(letters[at..end].iter().map(blank));
                at = end;
            }
            None => {
                code.push(letters[at]);
                at += 1;
            }
        }
    }
    code
}

/// Where the comment or literal that begins at `at` ends, if one begins there.
fn end_of_token(letters: &[char], at: usize) -> Option<usize> {
    let next = letters.get(at + 1).copied();
    match (letters[at], next) {
        ('/', Some('/')) => Some(find(letters, at, |rest| rest[0] == '\n')),
        ('/', Some('*')) => Some(end_of_block_comment(letters, at)),
        ('"', _) => Some(end_of_quoted(letters, at, '"')),
        ('r', Some('"' | '#')) if !is_inside_word(letters, at) => end_of_raw(letters, at),
        ('\'', Some('\\')) => Some(end_of_quoted(letters, at, '\'')),
        // 'x' is a character, 'x without a closing quote a lifetime.
        ('\'', Some(_)) if letters.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

/// A prefix as in `br"` is no part of a longer word.
fn is_inside_word(letters: &[char], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|index| letters[index]) else {
        return false;
    };
    let prefixed = matches!(before, 'b' | 'c')
        && at
            .checked_sub(2)
            .is_none_or(|index| !is_word(letters[index]));
    is_word(before) && !prefixed
}

fn find(letters: &[char], from: usize, ends: impl Fn(&[char]) -> bool) -> usize {
    (from..letters.len())
        .find(|&at| ends(&letters[at..]))
        .unwrap_or(letters.len())
}

fn end_of_block_comment(letters: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < letters.len() {
        let step = match &letters[at..letters.len().min(at + 2)] {
            ['/', '*'] => {
                depth += 1;
                2
            }
            ['*', '/'] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at.min(letters.len())
}

fn end_of_quoted(letters: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < letters.len() {
        match letters[at] {
            '\\' => at += 2,
            letter if letter == quote => return at + 1,
            _ => at += 1,
        }
    }
    letters.len()
}

/// None for a raw identifier such as `r#type`.
fn end_of_raw(letters: &[char], from: usize) -> Option<usize> {
    let hashes = letters[from + 1..]
        .iter()
        .take_while(|letter| **letter == '#')
        .count();
    let open = from + 1 + hashes;
    if letters.get(open) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.resize(1 + hashes, '#');
    let end = find(letters, open + 1, |rest| rest.starts_with(&close));
    Some((end + close.len()).min(letters.len()))
}

pub(crate) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Whether `line` has `word` standing alone.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, code: &str) {
        assert_eq!(code_only(source), code, "of {source}");
    }

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */\n d */ e", "a             \n      e");
        check("x / y", "x / y");
    }

    #[test]
    fn literals_are_blanked_whatever_they_hold() {
        check(r#"f("a // \" b") g"#, "f(           ) g");
        check(r##"f(r#"a " b"#) g"##, "f(          ) g");
        check(r#"f(br"\") g"#, "f(b    ) g");
        check(r"f('\'') g", "f(    ) g");
        check("f('\"') g", "f(   ) g");
    }

    #[test]
    fn lifetimes_raw_identifiers_and_words_with_r_are_code() {
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
        check("r#type + for", "r#type + for");
        check("let bar\"x\"", "let bar   ");
    }

    #[test]
    fn word_stands_alone() {
        assert!(has_word("pub unsafe fn", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
    }
}
