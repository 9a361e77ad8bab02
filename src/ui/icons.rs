//! The page's few icons, drawn in place so that nothing is fetched.

use leptos::prelude::*;

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Play,
    Pause,
    Step,
    Back,
    Theme,
    Help,
    Share,
    Panel,
    Close,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Play => "M3.5 1.8v10.4l8.6-5.2z",
            Self::Pause => "M3 2h3v10H3zM8 2h3v10H8z",
            Self::Step => "M2 2l7 5-7 5zM10 2h2v10h-2z",
            Self::Back => "M12 2L5 7l7 5zM2 2h2v10H2z",
            Self::Theme => "M7 1a6 6 0 100 12A6 6 0 007 1zm0 1.6v8.8a4.4 4.4 0 010-8.8z",
            Self::Help => {
                "M7 0a7 7 0 100 14A7 7 0 007 0zm0 1.5a5.5 5.5 0 110 11 5.5 5.5 0 010-11zM6.3 9.6h1.5v1.5H6.3zM7 2.9c1.6 0 2.7 1 2.7 2.3 0 1.9-1.9 1.9-1.9 3.3H6.3c0-2 1.9-2.1 1.9-3.2 0-.6-.5-1-1.2-1s-1.2.4-1.3 1.2H4.3C4.4 3.900 5.500 2.900 7 2.900z"
            }
            Self::Share => {
                "M7 .6l3.400 3.400-1.100 1.100L7.800 3.600V9H6.200V3.600L4.700 5.100 3.600 4zM2 7h1.600v4.900h6.800V7H12v6.500H2z"
            }
            Self::Panel => "M1 2h12v10H1zm1.500 1.500v7h5.700v-7zm7.200 0v7h1.800v-7z",
            Self::Close => {
                "M2.600 1.500L7 5.900l4.400-4.400 1.100 1.100L8.100 7l4.400 4.400-1.100 1.100L7 8.100l-4.400 4.400-1.100-1.100L5.900 7 1.500 2.600z"
            }
        }
    }
}

/// One icon, for the eye only: the control around it has the words.
#[component]
pub fn Glyph(#[prop(into)] icon: Signal<Icon>) -> impl IntoView {
    view! {
        <svg viewBox="0 0 14 14" aria-hidden="true">
            <path fill-rule="evenodd" d=move || icon.get().path() />
        </svg>
    }
}
