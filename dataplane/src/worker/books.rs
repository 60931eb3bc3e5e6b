//! What the worker knows of the orders, read from the databases.

use super::{Key, Queues, post};
use crate::shared::Shared;
use flashsale_core::ids::ItemIx;
use flashsale_core::order::State;
use flashsale_orders::{Error, Orders};
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Who waits for an order, and which orders are open.
pub(super) struct Books {
    pub(super) queues: Queues,
    pub(super) pending: HashMap<Key, (ItemIx, u32)>,
}

impl Books {
    /// Reads them, posts every order's state, and says what is sold.
    ///
    /// # Errors
    /// A database can't be read.
    pub(super) async fn read(orders: &Orders, shared: &Shared) -> Result<Self, Error> {
        let items = shared.sale.items.len();
        let mut queues = Queues::new(items, shared.sale.orders_per_minute);
        let mut pending = HashMap::new();
        let mut sold = vec![0_u32; items];
        let recovered = orders
            .recover(|order| {
                post(shared, &order);
                match order.state {
                    State::Reserved => return,
                    State::Pending => {
                        pending.insert((order.shard, order.ticket), (order.item, order.quantity));
                    }
                    State::Paid => sold[order.item.ix()] += order.quantity,
                    State::Closed(_) => {}
                }
                if order.ordered_at.is_some() {
                    queues.made(order.item, order.place);
                }
            })
            .await?;
        for waiting in &recovered.waiting {
            queues.push(*waiting);
        }
        for (stock, sold) in shared.stock.iter().zip(sold) {
            stock.sold.store(sold, Ordering::Relaxed);
        }
        Ok(Self { queues, pending })
    }
}
