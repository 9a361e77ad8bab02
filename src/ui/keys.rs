//! Keys that work everywhere on the page but in a field of text; Ctrl-K works there too.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, KeyboardEvent};

use super::browser;
use super::dock::Tab;
use super::microscope;
use super::page::Page;
use crate::sim::playback::{FASTEST, Pace, PlaybackCommand, SLOWEST};

/// Listens to keys for as long as the page lives. `theme` and `why` are what `t` and `w` do.
pub fn listen(page: Page, theme: impl Fn() + 'static, why: impl Fn() + 'static) {
    browser::on_window("keydown", move |event: KeyboardEvent| {
        // An open dialog has the keys to itself; Escape closes it only where nobody prevents that.
        if page.help.get_untracked() || page.sharing.get_untracked() {
            return;
        }
        let key = event.key();
        let to_command = key == "/" || (key.eq_ignore_ascii_case("k") && (event.ctrl_key() || event.meta_key()));
        if to_command && !(key == "/" && in_text(&event)) {
            event.prevent_default();
            if let Some(input) = browser::by_testid("command") {
                let _ = input.focus();
            }
            return;
        }
        if in_text(&event) || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let on_button = event
            .target()
            .and_then(|target| target.dyn_into::<Element>().ok())
            .is_some_and(|on| matches!(on.tag_name().as_str(), "BUTTON" | "SELECT" | "SUMMARY" | "A") || is_box(&on));
        let faster = |times: u64, by: u64| {
            let rate = page.read(|engine| engine.rate());
            Pace::Fixed((rate * times / by).clamp(SLOWEST, FASTEST))
        };
        match key.as_str() {
            " " if on_button => return,
            " " => page.playback(PlaybackCommand::Toggle),
            "ArrowRight" => page.playback(PlaybackCommand::Step),
            "ArrowLeft" => page.playback(PlaybackCommand::Back),
            "+" | "=" => page.playback(PlaybackCommand::SetPace(faster(3, 2))),
            "-" => page.playback(PlaybackCommand::SetPace(faster(2, 3))),
            "0" => page.playback(PlaybackCommand::SetPace(Pace::Auto)),
            "i" => show(page, Tab::Inspect),
            "e" => show(page, Tab::Events),
            "c" => show(page, Tab::Charts),
            "r" => show(page, Tab::Report),
            "t" => theme(),
            "w" => why(),
            "d" => page.toggle_disk(),
            "m" => microscope::toggle(page),
            "a" => page.sharing.set(true),
            "?" => page.help.set(true),
            "Escape" if page.subject.with_untracked(Option::is_some) => page.subject.set(None),
            "Escape" => page.selected.set(None),
            _ => return,
        }
        event.prevent_default();
    });
}

fn show(page: Page, tab: Tab) {
    page.tab.set(tab);
    page.folded.set(false);
}

fn in_text(event: &KeyboardEvent) -> bool {
    event.target().and_then(|target| target.dyn_into::<Element>().ok()).is_some_and(|on| {
        let text = on.tag_name() == "INPUT" && on.get_attribute("type").as_deref() != Some("range");
        (text && !is_box(&on)) || on.tag_name() == "TEXTAREA"
    })
}

fn is_box(on: &Element) -> bool {
    on.get_attribute("type").as_deref() == Some("checkbox")
}
