//! A stream whose bytes on the socket are TLS records; nobody above sees a difference.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::session::{Received, Session};
use crate::net::inbox::{Filled, Inbox};
use crate::net::stream::Stream;
use crate::net::wait::{self, Interest};
use crate::sync::Mutex;

impl Stream {
    /// Shakes hands by TLS; everything sent and received from then on is encrypted.
    pub async fn secure(
        self: &Arc<Self>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let mut session = Session::new(config, name)?;
        session.begin()?;
        if self.tls.set(Box::new(Mutex::new(session))).is_err() {
            return Err(io::Error::other("the stream is secure already"));
        }
        poll_fn(|_| {
            self.own()?;
            let mut inbox = self.inbox.lock();
            let waits_for = match self.tls.get() {
                Some(tls) => self.shake_hands(&mut tls.lock(), &mut inbox)?,
                None => None,
            };
            match waits_for {
                None => Poll::Ready(Ok(())),
                Some(interest) => {
                    wait::on_socket(self.clone(), interest);
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(in crate::net) async fn send_encrypted(
        self: &Arc<Self>,
        tls: &Mutex<Session>,
        mut parts: [&[u8]; 2],
    ) -> io::Result<()> {
        poll_fn(|_| {
            self.own()?;
            let mut session = tls.lock();
            loop {
                if !session.flush(self.socket())? {
                    wait::on_socket(self.clone(), Interest::Write);
                    return Poll::Pending;
                }
                if parts.iter().all(|part| part.is_empty()) {
                    session.trim();
                    return Poll::Ready(Ok(()));
                }
                session.encrypt_some(&mut parts)?;
            }
        })
        .await
    }

    /// Goes on with the handshake; answers what it waits for, `None` when it is done.
    fn shake_hands(
        &self,
        session: &mut Session,
        inbox: &mut Inbox,
    ) -> io::Result<Option<Interest>> {
        loop {
            if inbox.has_ended() {
                return Err(inbox.error());
            }
            if !session.flush(self.socket())? {
                return Ok(Some(Interest::Write));
            }
            if session.is_established() {
                return Ok(None);
            }
            if self.receive(session, inbox)? == Received::Nothing {
                return Ok(Some(Interest::Read));
            }
        }
    }

    /// `fill` under TLS. What TLS says for itself may come at any time.
    pub(in crate::net) fn fill_decrypted(&self, tls: &Mutex<Session>, inbox: &mut Inbox) -> Filled {
        let mut session = tls.lock();
        if !session.is_established() {
            return match self.shake_hands(&mut session, inbox) {
                Ok(Some(Interest::Read)) => Filled::Partly,
                Ok(_) => Filled::Handshake,
                Err(error) => {
                    inbox.end(error);
                    Filled::Ended
                }
            };
        }
        if inbox.state() != Filled::Frame {
            drop(session);
            return self.fill_inbox(inbox);
        }
        let whole = inbox.length();
        if let Err(error) = self.receive(&mut session, inbox) {
            inbox.end(error);
        } else if inbox.length() > whole {
            inbox.end_out_of_turn();
        }
        Filled::Frame
    }

    /// One read from the socket into the inbox, through TLS.
    pub(in crate::net) fn receive(
        &self,
        session: &mut Session,
        inbox: &mut Inbox,
    ) -> io::Result<Received> {
        let mut measured = Ok(());
        let received = session.receive(self.socket(), |plain| {
            inbox.append(plain);
            if measured.is_ok() {
                measured = inbox.measure();
            }
        })?;
        // The answer to a key update; if the socket is full it goes with the next message.
        session.flush(self.socket())?;
        measured.map(|()| received)
    }
}
