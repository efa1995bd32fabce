//! Batches and their end, errors and cut lines.

use bson::{RawBsonRef, RawDocumentBuf, rawdoc};
use ferromongo::error::ErrorKind;
use ferromongo::wire::elements;

use crate::scene::{ALL, Page::*, Scene};

#[test]
fn batches_come_to_their_end() {
    let scene = Scene::new(vec![Documents(2), Documents(3), Documents(0), Last(1)]);
    assert!(!scene.cursor.has_begun());
    assert_eq!(scene.read_all(0).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(scene.server.names(), ["find", "getMore", "getMore", "getMore"]);
    assert!(scene.cursor.is_over());
    assert_eq!((scene.cursor.id(), scene.cursor.retrieved()), (Some(0), 6));
    assert_eq!(scene.cursor.address().as_ref(), Some(&scene.server.address));
    for get_more in scene.received("getMore") {
        assert_eq!(get_more.body.get_i64("getMore").unwrap(), 7);
        assert_eq!(get_more.body.get_str("collection").unwrap(), "c");
        assert_eq!(get_more.body.get_str("$db").unwrap(), "db");
        assert!(get_more.body.get("batchSize").unwrap().is_none());
    }
}

#[test]
fn a_get_more_asks_for_no_more_than_the_limit() {
    for wanted in [0, ALL] {
        let mut scene = Scene::new(vec![Documents(2), Documents(3), Documents(2)]);
        (scene.options.batch_size, scene.options.limit) = (3, 7);
        scene.options.extra = {
            let mut extra = Vec::new();
            elements::string(&mut extra, "comment", "why");
            extra
        };
        assert_eq!(scene.read_all(wanted).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
        scene.until_received(&["find", "getMore", "getMore", "killCursors"]);
        let sizes: Vec<_> = scene
            .received("getMore")
            .iter()
            .map(|get_more| {
                assert_eq!(get_more.body.get_str("comment").unwrap(), "why");
                get_more.body.get_i64("batchSize").unwrap()
            })
            .collect();
        assert_eq!(sizes, [3, 2], "wanted: {wanted}");
    }
}

#[test]
fn an_error_that_leaves_the_cursor_open_is_told_when_it_is_closed() {
    for wanted in [0, ALL] {
        let scene = Scene::new(vec![Documents(1), Fails(2)]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.read(), [0]);
        assert_eq!(scene.fetch(wanted).unwrap_err().code(), Some(2));
        assert_eq!(scene.server.names(), ["find", "getMore", "killCursors"]);
        let kill = &scene.received("killCursors")[0].body;
        let cursors = kill.get_array("cursors").unwrap().into_iter();
        let cursors: Vec<_> = cursors.map(|id| id.unwrap()).collect();
        assert_eq!(cursors, [RawBsonRef::Int64(7)]);
        assert!(scene.cursor.is_over());
        assert!(!scene.fetch(wanted).unwrap(), "it is over, and says so");
    }
}

#[test]
fn a_cursor_that_has_gone_is_not_closed() {
    for code in [43, 237, 175, 10107] {
        let scene = Scene::new(vec![Documents(1), Fails(code)]);
        scene.fetch(0).unwrap();
        scene.read();
        assert_eq!(scene.fetch(0).unwrap_err().code(), Some(code));
        assert!(!scene.fetch(0).unwrap());
        drop(scene.cursor.close());
        scene.cursor.rewind();
        // A killCursors of the background would have come before.
        assert_eq!(scene.server.names(), ["find", "getMore"], "{code}");
    }
}

#[test]
fn a_get_more_is_not_sent_twice() {
    for wanted in [0, ALL] {
        let scene = Scene::new(vec![Documents(1), Cut]);
        scene.fetch(wanted).unwrap();
        assert_eq!(scene.read(), [0]);
        assert_eq!(scene.fetch(wanted).unwrap_err().kind(), ErrorKind::Network);
        assert!(scene.cursor.is_over());
        assert_eq!(scene.received("getMore").len(), 1);
    }
}

#[test]
fn malformed_replies_are_errors() {
    let of = |cursor: RawDocumentBuf| rawdoc! { "ok": 1, "cursor": cursor };
    for (reply, what) in [
        (rawdoc! { "ok": 1 }, "no cursor"),
        (rawdoc! { "ok": 1, "cursor": 5 }, "no cursor"),
        (of(rawdoc! { "id": 0_i64 }), "no batch"),
        (of(rawdoc! { "nextBatch": [] }), "no cursor id"),
        (of(rawdoc! { "id": "7", "nextBatch": [] }), "no cursor id"),
        (of(rawdoc! { "id": 0_i64, "nextBatch": [1] }), "malformed batch"),
        (of(rawdoc! { "id": 7_i64, "ns": "db", "nextBatch": [] }), "without a dot"),
    ] {
        for wanted in [0, ALL] {
            let scene = Scene::new(vec![Documents(1), Reply(reply.clone())]);
            scene.fetch(wanted).unwrap();
            assert_eq!(scene.read(), [0]);
            let error = scene.fetch(wanted).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{reply:?}");
            assert!(error.to_string().contains(what), "{error} {reply:?}");
            assert!(scene.cursor.is_over());
        }
    }
}

#[test]
fn a_tailable_cursor_pauses() {
    let mut scene = Scene::new(vec![Documents(1), Documents(0), Documents(1), Fails(43)]);
    scene.options.tailable = true;
    scene.cursor.set_read_ahead(true);
    assert_eq!(scene.fetch(ALL).map(|_| scene.read()).unwrap(), [0]);
    assert!(scene.fetch(ALL).unwrap());
    assert!(scene.read().is_empty());
    assert!(!scene.cursor.is_over());
    assert!(!scene.fetch(ALL).unwrap(), "nothing now: told once");
    assert_eq!(scene.fetch(ALL).map(|_| scene.read()).unwrap(), [1]);
    scene.fetch(ALL).unwrap();
    assert!(scene.cursor.is_over(), "overtaken, it has come to its end");
    let came: Vec<_> = (0..4).map(|_| scene.came_at()).collect();
    assert_eq!(came, [1, 2, 3, 4], "no batch was asked for ahead");
}
