//! Light and dark: one set of CSS variables, which the canvas reads too.

use crate::scene::marks::HUES;
use crate::ui::browser;

/// The colours of the page, as the stylesheet has them at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Palette {
    pub dark: bool,
    pub stage: String,
    pub panel: String,
    pub raised: String,
    pub ink: String,
    pub muted: String,
    pub faint: String,
    pub line: String,
    pub soft: String,
    pub accent: String,
    pub accent_soft: String,
    pub bad: String,
    pub bad_soft: String,
    pub warn: String,
    pub warn_soft: String,
    pub ok: String,
    pub ok_soft: String,
    pub shadow: String,
    keys: Vec<String>,
    key_soft: Vec<String>,
}

impl Palette {
    /// Reads every colour from the page's root element.
    pub fn read() -> Self {
        let Some(style) = browser::root_style() else { return Self::default() };
        let get = |name: &str| style.get_property_value(name).unwrap_or_default().trim().to_owned();
        let keys = |suffix: &str| (0..=HUES).map(|hue| get(&format!("--key-{hue}{suffix}"))).collect();
        Self {
            dark: get("--dark") == "1",
            stage: get("--stage"),
            panel: get("--panel"),
            raised: get("--raised"),
            ink: get("--ink"),
            muted: get("--muted"),
            faint: get("--faint"),
            line: get("--line"),
            soft: get("--soft"),
            accent: get("--accent"),
            accent_soft: get("--accent-soft"),
            bad: get("--bad"),
            bad_soft: get("--bad-soft"),
            warn: get("--warn"),
            warn_soft: get("--warn-soft"),
            ok: get("--ok"),
            ok_soft: get("--ok-soft"),
            shadow: get("--shade"),
            keys: keys(""),
            key_soft: keys("-soft"),
        }
    }

    /// A key's hue.
    pub fn key(&self, hue: u8) -> &str {
        self.keys.get(usize::from(hue)).map_or("#888", String::as_str)
    }

    /// The same hue, as a background.
    pub fn key_soft(&self, hue: u8) -> &str {
        self.key_soft.get(usize::from(hue)).map_or("#8883", String::as_str)
    }
}

/// Which theme a person asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// What the system says.
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    /// `?theme=` in the address, else what this browser remembers, else the system's.
    pub fn at_start() -> Self {
        browser::query("theme").or_else(|| browser::remembered("theme")).map_or(Self::System, |name| {
            match name.as_str() {
                "dark" => Self::Dark,
                "light" => Self::Light,
                _ => Self::System,
            }
        })
    }

    /// The other of the two that a person can see.
    pub fn toggled(self) -> Self {
        let dark = match self {
            Self::Dark => true,
            Self::Light => false,
            Self::System => browser::prefers("(prefers-color-scheme: dark)"),
        };
        if dark { Self::Light } else { Self::Dark }
    }

    /// Puts the theme on the page's root element.
    pub fn apply(self) {
        let Some(root) = browser::document().document_element() else { return };
        // Only an attribute name with odd letters is refused.
        let _ = match self {
            Self::System => root.remove_attribute("data-theme"),
            Self::Light => root.set_attribute("data-theme", "light"),
            Self::Dark => root.set_attribute("data-theme", "dark"),
        };
    }

    /// Remembers the choice for the next visit.
    pub fn remember(self) {
        match self {
            Self::System => {}
            Self::Light => browser::remember("theme", "light"),
            Self::Dark => browser::remember("theme", "dark"),
        }
    }
}
