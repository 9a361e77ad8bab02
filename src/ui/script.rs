//! `window.brokerscope`: the page for scripts and tests.

use js_sys::{Object, Reflect};
use wasm_bindgen::closure::{Closure, IntoWasmClosure, WasmClosure};
use wasm_bindgen::{JsCast, JsValue};

use super::bench;
use super::browser;
use super::engine::Engine;
use super::page::Page;
use crate::sim::playback::PlaybackCommand;
use crate::time::Instant;

/// Puts `brokerscope` on the window.
pub fn install(page: Page) {
    let object = Object::new();
    set(&object, "version", &env!("CARGO_PKG_VERSION").into());
    method::<dyn Fn() -> Result<JsValue, JsValue>>(&object, "report", move || {
        let report = page.read(|engine| serde_json::to_string(&engine.report()).unwrap_or_default());
        js_sys::JSON::parse(&report)
    });
    method::<dyn Fn(String) -> Result<JsValue, JsValue>>(&object, "run", move |command: String| {
        page.give(&command).map(JsValue::from).map_err(error)
    });
    method::<dyn Fn()>(&object, "play", move || page.playback(PlaybackCommand::Play));
    method::<dyn Fn()>(&object, "pause", move || page.playback(PlaybackCommand::Pause));
    method::<dyn Fn(f64) -> Result<JsValue, JsValue>>(&object, "seek", move |seconds: f64| {
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(error(format!("seek takes seconds from 0 on, not {seconds}.")));
        }
        page.seek(Instant::from_micros((seconds * 1e6).round() as u64));
        Ok(JsValue::UNDEFINED)
    });
    method::<dyn Fn(String) -> Result<JsValue, JsValue>>(&object, "load", move |toml: String| {
        page.load(&toml).map(|()| JsValue::UNDEFINED).map_err(error)
    });
    method::<dyn Fn() -> String>(&object, "scenario", move || page.read(Engine::scenario_now));
    method::<dyn Fn(String) -> Result<JsValue, JsValue>>(&object, "bench", move |name: String| {
        bench::run(page, &name).map_err(error)
    });
    // The window takes any property.
    let _ = Reflect::set(&browser::window(), &"brokerscope".into(), &object);
}

fn method<T: WasmClosure + ?Sized + 'static>(object: &Object, name: &str, function: impl IntoWasmClosure<T> + 'static) {
    let closure = Closure::<T>::new(function);
    set(object, name, closure.as_ref().unchecked_ref());
    closure.forget();
}

fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

fn error(text: String) -> JsValue {
    js_sys::Error::new(&text).into()
}
