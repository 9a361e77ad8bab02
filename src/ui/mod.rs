//! How it is shown: components, canvas, charts. The only folder that knows a browser.
//!
//! The app keeps the engine in one stored value and one `revision` signal. A frame runs the engine, builds the scene,
//! bumps the revision once, and paints; memos derive the rest. Components take signals and give commands.

mod app;
mod assignors;
mod bench;
mod browser;
mod canvas;
mod caption;
mod charts;
mod command_bar;
mod compare;
mod dialog;
mod dock;
mod engine;
mod events;
mod fallback;
mod hints;
mod icons;
mod inspector;
mod keys;
mod microscope;
mod node_menu;
mod page;
mod playback_bar;
mod report;
mod scenario_menu;
mod scenarios;
mod script;
mod shown;
mod stage;
mod theme;
mod timeline;
mod topbar;

/// Mounts the page. A panic from here on ends in a message that says what to do, never in a blank page.
pub fn mount() {
    fallback::catch_panics();
    leptos::mount::mount_to_body(app::App);
}
