//! Reading JSON, as much of it as the files that Kafka's tools take.
//!
//! What we leave out: numbers that are not whole, and escapes of characters beyond the basic plane.

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Json>),
    /// In the order of the text; names may come twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let value = reader.value(MAX_DEPTH)?;
        match reader.peek() {
            None => Ok(value),
            Some(found) => Err(format!("The input string is not a valid JSON: found `{found}` after its end")),
        }
    }

    /// A member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub fn number<T: TryFrom<i64>>(&self) -> Option<T> {
        if let Self::Number(number) = self { T::try_from(*number).ok() } else { None }
    }

    pub fn list(&self) -> Option<&[Json]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }
}

/// What Kafka's files need is three deep.
const MAX_DEPTH: u32 = 16;

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// The next character that is not space.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        self.peek();
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(self.wrong(&format!("`{wanted}`"))) }
    }

    fn wrong(&mut self, allowed: &str) -> String {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |found| format!("`{found}`"));
        format!("The input string is not a valid JSON: found {found}, allowed is {allowed}")
    }

    fn value(&mut self, depth: u32) -> Result<Json, String> {
        if depth == 0 {
            return Err(format!("The input string is nested more than {MAX_DEPTH} deep"));
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => self.string().map(Json::Text),
            Some('-' | '0'..='9') => self.integer(),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ if self.take("null") => Ok(Json::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    fn object(&mut self, depth: u32) -> Result<Json, String> {
        self.expect("{")?;
        let mut members = Vec::new();
        if self.take("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.peek();
            let name = self.string()?;
            self.expect(":")?;
            members.push((name, self.value(depth - 1)?));
            if self.take("}") {
                return Ok(Json::Object(members));
            }
            self.expect(",")?;
        }
    }

    fn array(&mut self, depth: u32) -> Result<Json, String> {
        self.expect("[")?;
        let mut items = Vec::new();
        if self.take("]") {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth - 1)?);
            if self.take("]") {
                return Ok(Json::List(items));
            }
            self.expect(",")?;
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match letters.next().map(|(_, escaped)| escaped) {
                    Some(plain @ ('"' | '\\' | '/')) => text.push(plain),
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('u') => {
                        let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                        let letter = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                        text.push(letter.ok_or_else(|| format!("found the escape `\\u{digits}`, which is no letter"))?);
                    }
                    _ => return Err("The input string is not a valid JSON: found an unknown escape".into()),
                },
                plain => text.push(plain),
            }
        }
        Err("The input string is not a valid JSON: a text has no end".into())
    }

    fn integer(&mut self) -> Result<Json, String> {
        let end = self.rest.find(|letter: char| !"-+.eE0123456789".contains(letter)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        let number = digits.parse().map_err(|_| format!("found `{digits}`, allowed is a whole number"))?;
        self.rest = rest;
        Ok(Json::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reassignment_file_is_read_whatever_its_spaces() {
        let text = r#" {"version" : 1, "partitions":[ {"topic":"a\"b","partition":0,"replicas":[1, 2]} ] } "#;
        let json = Json::parse(text).expect(text);
        assert_eq!(json.get("version").and_then(Json::number::<u32>), Some(1));
        let first = &json.get("partitions").and_then(Json::list).expect("a list")[0];
        assert_eq!(first.get("topic").and_then(Json::text), Some("a\"b"));
        assert_eq!(first.get("replicas").and_then(Json::list), Some(&[Json::Number(1), Json::Number(2)][..]));
    }

    #[test]
    fn what_is_no_json_is_refused_with_what_was_found() {
        for (text, said) in [
            ("", "found the end"),
            ("{\"a\":}", "found `}`"),
            ("[1,2", "found the end"),
            ("{} x", "found `x`"),
            ("[1.5]", "found `1.5`"),
            ("\"a", "no end"),
            ("\"\\q\"", "escape"),
        ] {
            let error = Json::parse(text).expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(Json::parse(&"[".repeat(10_000)).is_err());
    }
}
