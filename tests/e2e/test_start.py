"""Where reading starts, on real Kafka: by offset, by cluster id, by time; and what is told of gaps.

Recording sinks stand in for the caches: the number in a URL is its event's offset in the log, so
they show which event was read first.
"""

import sqlite3
from datetime import datetime, timedelta, timezone

from harness import (Kafka, PurgeSink, Purgeline, ServerTestCase, main, purge_event, start_all,
                     wait_for)

HOST = 'en.example.org'


def ago(**span):
    return datetime.now(timezone.utc) - timedelta(**span)


class StartTestCase(ServerTestCase):
    CLUSTERS = 1

    @classmethod
    def setUpClass(cls):
        cls.clusters = [Kafka() for _ in range(cls.CLUSTERS)]
        cls.kafka = cls.clusters[0]
        cls.keep(*cls.clusters)
        start_all(*cls.clusters)

    def setUp(self):
        super().setUp()
        self.topic = f'purge-{self._testMethodName}'
        for kafka in self.clusters:
            kafka.create_topic(self.topic)
        self.sink = PurgeSink()
        self.addCleanup(self.sink.cleanup)
        # Without a position it begins at the end, so that what is read from before is read for a
        # reason.
        self.daemon = self.make_daemon()

    def make_daemon(self, kafka=None):
        return Purgeline(kafka or self.kafka, [self.topic], [('cache', [self.sink.address])],
                         {'log': {'kafka': {'start_at': 'now'}}})

    def publish(self, first, end, kafka=None, when=None):
        kafka = kafka or self.kafka
        values = [purge_event(f'https://{HOST}/{n}', when) for n in range(first, end)]
        if when:
            kafka.produce_at(self.topic, [(when, value) for value in values])
        else:
            kafka.produce(self.topic, values)

    def run_up_to(self, end):
        """A run that reads everything and leaves `end` as its position in both stores."""
        self.daemon.start()
        wait_for(lambda: self.daemon.metric('purgeline_catch_up_events') == 0, 10, 'it is live')
        self.publish(0, end)
        self.daemon.wait_committed(self.kafka, self.topic)
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.stored_offset(), end)

    def state(self, *statement, daemon=None):
        """Runs a statement on state.db, while no daemon does."""
        with sqlite3.connect((daemon or self.daemon).folder / 'state' / 'state.db') as database:
            rows = database.execute(*statement).fetchall()
        database.close()
        return rows

    def stored_offset(self):
        return self.state('SELECT "offset" FROM position WHERE topic = ?', (self.topic,))[0][0]

    def plant(self, offset, when, cluster, daemon=None):
        """A position in state.db, in place of the one that is there."""
        daemon = daemon or self.daemon
        self.state('INSERT OR REPLACE INTO position VALUES (?, 0, ?, ?, ?, 0)',
                   (self.topic, offset, int(when.timestamp() * 1e9), cluster), daemon=daemon)

    def lose_state(self):
        for file in (self.daemon.folder / 'state').glob('state.db*'):
            file.unlink()

    def readings(self, daemon=None):
        """What the log says of where reading began, newest last."""
        lines = (daemon or self.daemon).log.read_text().replace('\\"', '"').splitlines()
        return [line for line in lines
                if ' event=reading ' in line and f' topic={self.topic} ' in line]

    def assert_starts(self, first, end, cold=False, kafka=None, daemon=None, why=''):
        """Starts it: it reads and purges the events from `first` to `end`, and no other one."""
        kafka, daemon = kafka or self.kafka, daemon or self.daemon
        del self.sink.seen[:]
        before = len(self.readings(daemon)) if daemon.log.exists() else 0
        daemon.launch()
        wait_for(lambda: len(self.readings(daemon)) > before, 30, 'it reads')
        wait_for(lambda: {(HOST, f'/{n}') for n in range(first, end)}
                 <= set(self.sink.urls(HOST)), 30, f'the events {first} to {end} are purged')
        daemon.wait_committed(kafka, self.topic)
        self.assertEqual(set(self.sink.urls(HOST)),
                         {(HOST, f'/{n}') for n in range(first, end)})
        said = self.readings(daemon)[-1]
        self.assertIn(f' offset={first} ', said)
        self.assertIn(why, said)
        self.assert_cold(cold, daemon)

    def assert_cold(self, cold, daemon=None):
        daemon = daemon or self.daemon
        wait_for(lambda: daemon.metric('purgeline_cold') == cold, 10, f'cold is {cold}')
        if not cold:
            daemon.wait_ready()
            self.assertNotIn('events lost', daemon.log.read_text())
            return
        answer = daemon.readiness()
        self.assertEqual(answer.status, 503)
        self.assertIn('no longer in the log', answer.body)
        self.assertIn('events lost before reading', daemon.log.read_text())


class TestStoredPositions(StartTestCase):
    def test_a_group_that_expired_and_state_db_that_is_there(self):
        self.run_up_to(20)
        self.kafka.forget(self.daemon.group)
        self.assertEqual(self.kafka.committed(self.daemon.group, self.topic), -1)
        self.publish(20, 25)
        self.assert_starts(20, 25, why='continues at the stored offset 20')

    def test_state_db_that_was_lost_and_the_group_that_is_there(self):
        self.run_up_to(20)
        self.lose_state()
        self.publish(20, 25)
        self.assert_starts(20, 25, why='continues at the stored offset 20')

    def test_both_lost(self):
        self.run_up_to(20)
        self.lose_state()
        self.kafka.forget(self.daemon.group)
        self.publish(20, 25)
        self.daemon.start()
        self.publish(25, 30)
        self.daemon.wait_committed(self.kafka, self.topic)
        self.assertNotIn((HOST, '/24'), self.sink.urls(HOST))
        self.assertIn((HOST, '/25'), self.sink.urls(HOST))
        self.assertIn('start_at gives offset 25', self.readings()[-1])
        self.assert_cold(False)

    def test_a_group_of_which_nothing_but_the_offset_is_known(self):
        """As another consumer or a tool leaves it."""
        self.publish(0, 20)
        self.kafka.commit(self.daemon.group, self.topic, 12, ago(), '-')
        self.assert_starts(12, 20, why='continues at the stored offset 12')


class TestGaps(StartTestCase):
    def test_records_deleted_past_the_commit(self):
        self.run_up_to(10)
        self.publish(10, 30)
        self.kafka.delete_records(self.topic, 25)
        self.assert_starts(25, 30, cold=True, why='the stored offset 10 is no longer in the log')
        self.assertIn('events=15 ', self.daemon.log.read_text())
        self.assertEqual(self.daemon.metric('purgeline_offset_resets_total'), 1)

    def test_records_deleted_before_the_commit_are_no_loss(self):
        self.run_up_to(20)
        self.kafka.delete_records(self.topic, 20)
        self.publish(20, 25)
        self.assert_starts(20, 25)

    def test_records_deleted_before_a_stopped_process_has_read_them(self):
        self.run_up_to(10)
        self.assert_starts(10, 10)
        self.daemon.pause()
        self.addCleanup(self.daemon.resume)
        self.publish(10, 20)  # may be on its way to it already
        self.publish(20, 40)
        self.kafka.delete_records(self.topic, 35)
        self.daemon.resume()
        self.daemon.wait_committed(self.kafka, self.topic)
        self.assertLessEqual({(HOST, f'/{n}') for n in range(35, 40)}, set(self.sink.urls(HOST)))
        self.assertNotIn((HOST, '/34'), self.sink.urls(HOST))
        self.assert_cold(True)

    def test_events_too_old_to_matter_are_no_loss(self):
        """Retention ate them; what the log still has from before max_useful_age tells their age."""
        self.publish(0, 10, when=ago(days=4))
        self.publish(10, 20, when=ago(days=3))
        self.publish(20, 30, when=ago(hours=1))
        self.kafka.commit(self.daemon.group, self.topic, 5, ago(days=4), self.kafka.cluster)
        self.kafka.delete_records(self.topic, 10)
        self.assert_starts(20, 30, why='passed over up to 20')


class TestRecreated(StartTestCase):
    def recreate(self):
        self.kafka.delete_topic(self.topic)
        self.kafka.create_topic(self.topic)

    def test_while_stopped(self):
        self.run_up_to(20)
        self.recreate()
        self.publish(0, 5)
        self.assert_starts(0, 5, why='the stored offset 20 is beyond the end 5')

    def test_while_running(self):
        self.run_up_to(20)
        self.assert_starts(20, 20)
        self.recreate()
        self.publish(0, 5)
        self.daemon.wait_committed(self.kafka, self.topic)
        wait_for(lambda: len(self.sink.urls(HOST)) == 5, 30, 'the new events are purged')
        wait_for(lambda: self.daemon.ready(), 10, 'it is ready')
        self.assert_cold(False)


class TestClusters(StartTestCase):
    """The same topic on two clusters, with other offsets on each."""

    CLUSTERS = 2

    def move_to(self, kafka):
        text = self.daemon.config.read_text()
        for known in self.clusters:
            text = text.replace(known.address, kafka.address)
        self.daemon.config.write_text(text)

    def test_to_another_cluster_and_back(self):
        here, there = self.clusters
        self.publish(0, 3, there, ago(days=3))
        self.publish(3, 6, there, ago(minutes=30))
        self.run_up_to(8)
        self.publish(6, 10, there)
        # There by time, ten minutes before the last event that was finished here.
        self.move_to(there)
        self.assert_starts(6, 10, kafka=there, why=f'is of cluster "{here.cluster}"')
        self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(self.stored_offset(), 10)
        # And back: the offset 8 in this cluster's own store was overtaken.
        self.move_to(here)
        self.publish(8, 12)
        self.assert_starts(0, 12, why=f'is of cluster "{there.cluster}"')

    def test_a_position_of_three_days_ago_does_not_win(self):
        """It was here three days ago, on the other cluster since, and comes back."""
        here, there = self.clusters
        for first, span in ((0, {'days': 3}), (5, {'days': 2}), (10, {'hours': 2}),
                            (15, {'minutes': 65}), (20, {'minutes': 1})):
            self.publish(first, first + 5, when=ago(**span))
        hour_ago = ago(minutes=60)
        for name, in_kafka, in_state, first in (
                ('both', True, True, 15),
                ('positions in Kafka lost', False, True, 15),
                # The old one is all there is: what is older than max_useful_age is passed over.
                ('state.db lost', True, False, 10)):
            with self.subTest(name):
                daemon = self.make_daemon()
                daemon.start().stop()  # makes state.db
                here.forget(daemon.group)
                self.state('DELETE FROM position', daemon=daemon)
                if in_kafka:
                    here.commit(daemon.group, self.topic, 5, ago(days=3), here.cluster)
                if in_state:
                    self.plant(70000, hour_ago, there.cluster, daemon)
                self.assert_starts(first, 25, daemon=daemon)
                self.assertEqual(daemon.stop(), 0)

    def test_the_newer_of_two_positions_of_one_cluster_wins(self):
        self.publish(0, 30, when=ago(minutes=1))
        for in_kafka, in_state in ((12, 20), (20, 12)):
            daemon = self.make_daemon()
            daemon.start().stop()
            self.kafka.commit(daemon.group, self.topic, in_kafka, ago(minutes=in_state),
                              self.kafka.cluster)
            self.plant(in_state, ago(minutes=in_kafka), self.kafka.cluster, daemon)
            self.assert_starts(20, 30, daemon=daemon, why='the stored offset 20')
            self.assertEqual(daemon.stop(), 0)


if __name__ == '__main__':
    main()
