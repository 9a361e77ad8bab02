//! When something is badly wrong: a message with what to do, never a blank page.

use std::panic;

use wasm_bindgen::JsCast;

use super::browser;

/// Shows every panic on the page, and where to go from there.
pub fn catch_panics() {
    panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let at = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let said = info.payload();
        let said = said.downcast_ref::<&str>().copied().or_else(|| said.downcast_ref::<String>().map(String::as_str));
        show(
            "Brokerscope stopped: its model met something it cannot be true to.",
            "This is a mistake in Brokerscope, not yours. Loading the page again starts over; please report the lines \
             below together with the address of this page.",
            &format!(
                "{}\n{at}\n{}",
                said.unwrap_or("no message"),
                browser::window().location().href().unwrap_or_default()
            ),
        );
    }));
}

/// Puts a message in place of the page.
pub fn show(title: &str, advice: &str, details: &str) {
    let document = browser::document();
    let Some(place) = document.get_element_by_id("fallback") else { return };
    place.set_text_content(None);
    for (tag, text) in [("h1", title), ("p", advice), ("pre", details)] {
        if text.is_empty() {
            continue;
        }
        if let Ok(element) = document.create_element(tag) {
            element.set_text_content(Some(text));
            let _ = place.append_child(&element);
        }
    }
    if let Ok(again) = document.create_element("a") {
        again.set_text_content(Some("Load the page again"));
        let _ = again.set_attribute("href", "?");
        let _ = place.append_child(&again);
    }
    let _ = place.remove_attribute("hidden");
    if let Ok(Some(page)) = document.query_selector(".page") {
        let _ = page.set_attribute("hidden", "");
        if let Some(page) = page.dyn_ref::<web_sys::HtmlElement>() {
            let _ = page.style().set_property("display", "none");
        }
    }
}
