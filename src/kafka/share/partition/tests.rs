//! Each rule of the window, one test.
