//! One UDP socket on the simulated network.

use super::SimNet;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, Sleep, sleep_until};

/// When a packet arrives, its number, whence, what.
type Arrival = (Instant, u64, SocketAddr, Vec<u8>);

#[derive(Debug, Default)]
pub(super) struct Inbox {
    packets: BinaryHeap<Reverse<Arrival>>,
    arrived: u64,
    waker: Option<Waker>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Inbox {
    pub fn put(&mut self, due: Instant, from: SocketAddr, bytes: Vec<u8>) {
        self.arrived += 1;
        self.packets.push(Reverse((due, self.arrived, from, bytes)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
pub(super) struct SimSocket {
    pub net: SimNet,
    pub address: SocketAddr,
    pub inbox: Arc<Mutex<Inbox>>,
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut net = self.net.lock();
        // A socket that was bound anew at the same address stays.
        if net.sockets.get(&self.address).is_some_and(|inbox| Arc::ptr_eq(inbox, &self.inbox)) {
            net.sockets.remove(&self.address);
        }
    }
}

/// The network takes packets at any time.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for SimSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut net = self.net.lock();
        transmit.contents.chunks(size).for_each(|bytes| net.send(self.address, transmit.destination, bytes));
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let inbox = &mut *inbox;
        loop {
            let Some(Reverse((due, ..))) = inbox.packets.peek() else {
                inbox.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            let due = *due;
            if due > Instant::now() {
                inbox.waker = Some(context.waker().clone());
                let alarm = inbox.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
                alarm.as_mut().reset(due);
                std::task::ready!(alarm.as_mut().poll(context));
                continue;
            }
            let Some(Reverse((_, _, from, bytes))) = inbox.packets.pop() else { continue };
            let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
                return Poll::Ready(Ok(0));
            };
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            *meta = RecvMeta { addr: from, len: length, stride: length, ecn: None, dst_ip: None };
            return Poll::Ready(Ok(1));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
