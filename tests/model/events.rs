//! What happens in the middle of something else: failures, and others who act meanwhile.

use super::frame::Frame;
use super::machine::Machine;
use super::memory::Pte;
use pinfold::PteFlags;
use pinfold::pin::PinKind;

/// Happens when the embedder is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The call fails or is refused; if it cannot be, then the next one that can.
    Fail,
    /// A pinner without locks comes through an entry of the page.
    Pin(PinKind),
    /// The oldest pins of the page go, and those of its group.
    Unpin,
    /// A CPU writes through an entry of the page.
    Store,
    /// Somebody takes a plain reference.
    Hold,
}

/// A call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injected;

impl core::fmt::Display for Injected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("injected")
    }
}

impl core::error::Error for Injected {}

impl Machine<'_> {
    /// A method that can fail is called about a frame.
    pub(crate) fn fallible(&mut self, frame: &Frame, name: &'static str) -> Result<(), Injected> {
        let fails = matches!(self.events.front(), Some((0, Event::Fail)));
        if fails && !self.spared.contains(&name) {
            self.events.pop_front();
            self.failed.push(name);
            return Err(Injected);
        }
        self.call(frame);
        Ok(())
    }

    /// A method that can be refused is called about a frame; whether it is.
    pub(crate) fn refuses(&mut self, frame: &Frame, name: &'static str) -> bool {
        self.fallible(frame, name).is_err()
    }

    /// A method that cannot fail is called about a frame.
    pub(crate) fn call(&mut self, frame: &Frame) {
        let Some((left, event)) = self.events.front_mut() else {
            return;
        };
        if *left > 0 {
            *left -= 1;
            return;
        }
        let event = *event;
        if event == Event::Fail {
            return;
        }
        self.events.pop_front();
        let frame = &self.frames[frame.index];
        match event {
            Event::Fail => {}
            Event::Pin(kind) => {
                if let Some((space, page)) = self.writable_entry(frame) {
                    self.pin_frames(&[(space, page, frame)], kind, 0);
                }
            }
            Event::Unpin => {
                let group = self.groups.iter().position(|group| group.has(frame.index));
                if let Some(group) = group {
                    self.unpin(group);
                }
            }
            Event::Store => {
                if let Some((space, page)) = self.writable_entry(frame) {
                    if let Pte::Present(_, flags) = &mut self.spaces[space].ptes[page] {
                        flags.insert(PteFlags::YOUNG);
                    }
                    let value = self.fresh();
                    frame.data.set(value);
                    self.wrote(space, page, value);
                }
            }
            Event::Hold => {
                if frame.refs.try_get_ref().is_ok() {
                    self.holds[frame.index] += 1;
                }
            }
        }
    }

    /// An entry through which hardware can write to the frame, no questions asked.
    fn writable_entry(&self, frame: &Frame) -> Option<(usize, usize)> {
        let open = PteFlags::WRITABLE | PteFlags::DIRTY;
        let mapped = frame.rmap.borrow();
        mapped.iter().copied().find(|&(space, page)| {
            matches!(self.spaces[space].ptes[page],
                Pte::Present(index, flags) if index == frame.index && flags.contains(open))
        })
    }
}
