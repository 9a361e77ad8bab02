//! Options as Kafka's tools take them (joptsimple): `--name`, `--name value`, `--name=value`, and any prefix of a name
//! that no other option shares.

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    pub takes: Takes,
    pub about: &'static str,
}

/// Whether a value follows an option; the text says what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value(&'static str),
    /// A value may follow.
    Maybe(&'static str),
}

/// A tool's options and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// What the tool says with `--help`.
    pub about: &'static str,
    pub flags: &'static [Flag],
}

/// The options of a command line.
#[derive(Clone, Debug)]
pub struct Given {
    usage: Usage,
    options: Vec<(&'static str, Option<String>)>,
}

/// Every tool has these.
pub const COMMON: [Flag; 4] = [
    flag("bootstrap-server", Takes::Value("server to connect to"), "Taken and ignored: there is one cluster here."),
    flag("command-config", Takes::Value("config file"), "Taken and ignored: there are no files here."),
    flag("help", Takes::Nothing, "Print usage information."),
    flag("version", Takes::Nothing, "Display Kafka version."),
];

/// One row of a table of options.
pub const fn flag(name: &'static str, takes: Takes, about: &'static str) -> Flag {
    Flag { name, takes, about }
}

impl Usage {
    /// Reads the words after the tool's name.
    pub fn read(self, words: &[String]) -> Result<Given, String> {
        let mut options = Vec::new();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
                return Err(self.wrong(&format!("found `{word}`, allowed is an option such as `--help`")));
            };
            let (name, attached) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let flag = self.find(name).ok_or_else(|| self.wrong(&format!("{name} is not a recognized option")))?;
            let value = match (flag.takes, attached) {
                (Takes::Nothing, None) => None,
                (Takes::Nothing, Some(_)) => {
                    return Err(self.wrong(&format!("Option {name} does not accept an argument")));
                }
                (_, Some(value)) => Some(value.to_owned()),
                (Takes::Value(_), None) => {
                    let value = words.next();
                    Some(value.cloned().ok_or_else(|| self.wrong(&format!("Option {name} requires an argument")))?)
                }
                (Takes::Maybe(_), None) => words.next_if(|next| !next.starts_with("--")).cloned(),
            };
            options.push((flag.name, value));
        }
        Ok(Given { usage: self, options })
    }

    /// Every option's name, without the dashes.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.all().map(|flag| flag.name)
    }

    fn all(self) -> impl Iterator<Item = Flag> {
        self.flags.iter().copied().chain(COMMON)
    }

    fn find(self, name: &str) -> Option<Flag> {
        let exact = self.all().find(|flag| flag.name == name);
        let mut alike = self.all().filter(|flag| flag.name.starts_with(name));
        exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))
    }

    /// What the tool prints when it is used wrongly: the reason, then its options.
    pub fn wrong(self, reason: &str) -> String {
        format!("{reason}\n{}", self.table())
    }

    /// What the tool prints with `--help`.
    pub fn help(self) -> String {
        format!("{}\n{}", self.about, self.table())
    }

    fn table(self) -> String {
        let label = |flag: Flag| match flag.takes {
            Takes::Nothing => format!("--{}", flag.name),
            Takes::Value(what) => format!("--{} <{what}>", flag.name),
            Takes::Maybe(what) => format!("--{} [{what}]", flag.name),
        };
        let mut rows: Vec<(String, &str)> = self.all().map(|flag| (label(flag), flag.about)).collect();
        rows.sort_unstable();
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0).max(6);
        let mut table = format!("{:width$} Description\n{:width$} -----------\n", "Option", "------");
        for (label, about) in rows {
            for (line, at) in wrapped(about).iter().zip(0..) {
                let (label, indent) = if at == 0 { (label.as_str(), "") } else { ("", "  ") };
                table.push_str(format!("{label:width$} {indent}{line}").trim_end());
                table.push('\n');
            }
        }
        table
    }
}

/// Lines of at most 40 characters, broken between words.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= 40 {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

impl Given {
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    /// Every value of an option, in the order given.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(given, _)| *given == name).filter_map(|(_, value)| value.as_deref())
    }

    /// The value of an option that may be given once.
    pub fn value(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => {
                Err(self.wrong(&format!("Found multiple arguments for option {name}, but you asked for only one")))
            }
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.value(name)?.map(str::to_owned))
    }

    pub fn required(&self, name: &str) -> Result<String, String> {
        self.text(name)?.ok_or_else(|| self.wrong(&format!("Missing required argument \"[{name}]\"")))
    }

    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        let number =
            text.parse().map_err(|_| self.wrong(&format!("Cannot parse argument '{text}' of option {name}")))?;
        Ok(Some(number))
    }

    /// Properties: every `key=value` of these options.
    pub fn properties(&self, names: [&str; 2]) -> Result<Vec<(String, String)>, String> {
        let [new, old] = names;
        if self.has(new) && self.has(old) {
            return Err(self.wrong(&format!("Options --{new} and --{old} cannot be specified together.")));
        }
        let pair = |text: &str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let pairs = self.values(new).chain(self.values(old));
        pairs.map(|text| pair(text).ok_or_else(|| self.wrong(&format!("Missing value for key {text}")))).collect()
    }

    /// `used` must not come with any of the others.
    pub fn excludes(&self, used: &str, others: &[&str]) -> Result<(), String> {
        let both = others.iter().find(|other| self.has(used) && self.has(other));
        match both {
            None => Ok(()),
            Some(other) => Err(self.wrong(&format!("Option \"[{used}]\" can't be used with option \"[{other}]\""))),
        }
    }

    /// The text of the file that an option names. There are no files here: it is the input that follows `<<<`, as in a
    /// shell where the file is `/dev/stdin`.
    pub fn file(&self, name: &str, input: &[String]) -> Result<String, String> {
        let path = self.required(name)?;
        if input.is_empty() {
            return Err(format!(
                "found the file `{path}`, but there are no files here: give its text after it, as in --{name} /dev/stdin \
                 <<< '{{...}}'"
            ));
        }
        Ok(input.join("\n"))
    }

    pub fn wrong(&self, reason: &str) -> String {
        self.usage.wrong(reason)
    }
}
