//! What the page asks of the browser, each in one place: the address, storage, preferences, time.

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{CssStyleDeclaration, Document, HtmlElement, Window};

/// The window. There is always one: the page runs in no worker.
pub fn window() -> Window {
    web_sys::window().expect("Brokerscope's page runs in a browser's window")
}

pub fn document() -> Document {
    window().document().expect("a window has a document")
}

/// The computed style of the page's root element.
pub fn root_style() -> Option<CssStyleDeclaration> {
    let root = document().document_element()?;
    window().get_computed_style(&root).ok().flatten()
}

/// A parameter of the address: `?scenario=hello`. One without a value is empty.
pub fn query(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    search.trim_start_matches('?').split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| js_sys::decode_uri_component(value).map(String::from).unwrap_or_default())
    })
}

/// What follows `#` in the address.
pub fn hash() -> String {
    window().location().hash().unwrap_or_default().trim_start_matches('#').to_owned()
}

/// Something this browser remembers between visits. Storage may be switched off; then nothing is.
pub fn remembered(key: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(&format!("brokerscope.{key}")).ok().flatten()
}

/// Remembers something for the next visit, where the browser lets us.
pub fn remember(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        // A full or forbidden storage costs no more than the memory.
        let _ = storage.set_item(&format!("brokerscope.{key}"), value);
    }
}

/// Whether a media query holds, as `(prefers-reduced-motion: reduce)`.
pub fn prefers(media: &str) -> bool {
    window().match_media(media).ok().flatten().is_some_and(|list| list.matches())
}

/// Milliseconds of the browser's clock. For pace and animation only; the engine has a clock of its own.
pub fn now_ms() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

/// Calls back before every frame, forever.
pub fn every_frame(mut frame: impl FnMut(f64) + 'static) {
    use std::cell::RefCell;
    use std::rc::Rc;
    type Tick = Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>;
    let tick: Tick = Rc::default();
    let next = Rc::clone(&tick);
    let ask = |tick: &Tick| {
        if let Some(tick) = tick.borrow().as_ref() {
            // A window always has frames.
            let _ = window().request_animation_frame(tick.as_ref().unchecked_ref());
        }
    };
    *tick.borrow_mut() = Some(Closure::new(move |at: f64| {
        frame(at);
        ask(&next);
    }));
    ask(&tick);
}

/// Listens on the window for as long as the page lives.
pub fn on_window<E: JsCast + 'static>(event: &str, mut heard: impl FnMut(E) + 'static) {
    let listener = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
        if let Ok(event) = event.dyn_into::<E>() {
            heard(event);
        }
    });
    // Only a missing callback is refused.
    let _ = window().add_event_listener_with_callback(event, listener.as_ref().unchecked_ref());
    listener.forget();
}

/// Watches an element's size for as long as it is kept.
pub struct SizeWatch {
    observer: web_sys::ResizeObserver,
    _heard: Closure<dyn FnMut()>,
}

impl Drop for SizeWatch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Calls `heard` whenever the element has another size, and once at the beginning.
pub fn on_resize(element: &web_sys::Element, heard: impl FnMut() + 'static) -> Option<SizeWatch> {
    let heard = Closure::<dyn FnMut()>::new(heard);
    let observer = web_sys::ResizeObserver::new(heard.as_ref().unchecked_ref()).ok()?;
    observer.observe(element);
    Some(SizeWatch { observer, _heard: heard })
}

/// The element that the keys go to, if it is not the page as a whole.
pub fn focused() -> Option<HtmlElement> {
    document().active_element()?.dyn_into().ok()
}

/// The element with a `data-testid`.
pub fn by_testid(id: &str) -> Option<HtmlElement> {
    document().query_selector(&format!("[data-testid='{id}']")).ok().flatten()?.dyn_into().ok()
}
