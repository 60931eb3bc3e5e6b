//! How events change the state: the only code that does.

use super::{Engine, Held, Inconsistent, Outgoing, ROOM_AHEAD_MAX, Reserved, Slot};
use crate::event::{Change, Event, Reservation, TicketNo};
use crate::units;

impl Engine {
    /// Applies a counted event.
    ///
    /// # Errors
    /// The event doesn't follow from the state; the state is then unchanged.
    pub fn apply(&mut self, event: &Event) -> Result<(), Inconsistent> {
        let wrong = |problem| Inconsistent {
            n: event.n,
            epoch: event.made.0,
            problem,
        };
        if event.n != self.len() + 1 {
            return Err(wrong("its number doesn't follow the last one"));
        }
        let slot = self.change(event).map_err(wrong)?;
        self.slots.push(slot);
        Ok(())
    }

    fn change(&mut self, event: &Event) -> Result<Slot, &'static str> {
        match &event.change {
            Change::Loaded { load, item, units } => {
                let stock = self.stock.get_mut(item.ix()).ok_or("its item doesn't exist")?;
                if self.loads.insert((*load, *item), event.n).is_some() {
                    return Err("this load came in before");
                }
                stock.free.put(&[*units]);
                let ahead = units.len.min(ROOM_AHEAD_MAX) as usize;
                self.slots.reserve(ahead);
                self.held.reserve(ahead);
                self.keys.reserve(ahead);
            }
            Change::Registered { buyer } => {
                if !self.registered.insert(*buyer) {
                    return Err("this buyer is registered already");
                }
            }
            Change::Reserved(reservation) => return self.reserved(event, reservation),
            Change::Released { ticket, .. } => self.released(*ticket)?,
            Change::TransferOut { to, item, units } => {
                let stock = self.stock.get_mut(item.ix()).ok_or("its item doesn't exist")?;
                if !stock.free.take(units) {
                    return Err("it sends a unit that isn't free");
                }
                let transfer = Outgoing {
                    number: event.n,
                    item: *item,
                    units: units.clone(),
                };
                self.outgoing.insert(*to, transfer);
            }
            Change::TransferIn {
                from,
                number,
                item,
                units,
            } => {
                let stock = self.stock.get_mut(item.ix()).ok_or("its item doesn't exist")?;
                if self.incoming.get(from).is_some_and(|(taken, _)| number <= taken) {
                    return Err("this transfer came in before");
                }
                self.incoming.insert(*from, (*number, event.n));
                stock.free.put(units);
            }
        }
        Ok(Slot::Other)
    }

    fn reserved(&mut self, event: &Event, reservation: &Reservation) -> Result<Slot, &'static str> {
        let Reservation {
            buyer,
            buyer_id: _,
            item,
            units,
            key,
            at: _,
            place,
        } = reservation;
        let stock = self.stock.get_mut(item.ix()).ok_or("its item doesn't exist")?;
        if !stock.free.take(units) {
            return Err("it takes a unit that isn't free");
        }
        stock.reservations += 1;
        let held = self.held.entry((*buyer, *item)).or_insert(Held {
            units: 0,
            last: event.n,
        });
        held.units += units::count(units);
        held.last = event.n;
        if let Some(key) = key {
            self.keys.insert(*key, event.n);
        }
        let reservation = Reserved {
            buyer: *buyer,
            item: *item,
            units: units.clone(),
            place: *place,
            live: true,
        };
        Ok(Slot::Reserved {
            made: event.made,
            reservation,
        })
    }

    fn released(&mut self, ticket: TicketNo) -> Result<(), &'static str> {
        let slot = ticket
            .n
            .checked_sub(1)
            .and_then(|ix| self.slots.get_mut(ix as usize));
        let Some(Slot::Reserved { made, reservation }) = slot else {
            return Err("it releases what isn't a reservation");
        };
        if *made != ticket.made || !reservation.live {
            return Err("it releases a reservation that doesn't hold its units");
        }
        reservation.live = false;
        let key = (reservation.buyer, reservation.item);
        self.stock[reservation.item.ix()].free.put(&reservation.units);
        let quantity = units::count(&reservation.units);
        if let Some(held) = self.held.get_mut(&key) {
            held.units = held.units.saturating_sub(quantity);
            if held.units == 0 {
                self.held.remove(&key);
            }
        }
        Ok(())
    }
}
