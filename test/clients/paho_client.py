"""Drives Paho against a broker: paho_client.py <port> <v311|v5>. Prints `ok <name>` per check, exits 1 at the first failure."""
import sys
import threading
import paho.mqtt.client as mqtt

port = int(sys.argv[1])
is_v5 = sys.argv[2] == "v5"
protocol = mqtt.MQTTv5 if is_v5 else mqtt.MQTTv311
wait_seconds = 20


class Client:
    """A connected Paho client that gathers what it receives."""

    def __init__(self, client_id, clean=True, will=None):
        options = {"client_id": client_id, "protocol": protocol}
        if not is_v5:
            options["clean_session"] = clean
        if hasattr(mqtt, "CallbackAPIVersion"):
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.paho = mqtt.Client(**options)
        self.received = []
        self.session_present = None
        self.changed = threading.Condition()
        self.connected = threading.Event()
        self.subscribed = threading.Event()
        self.paho.on_connect = self.on_connect
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        self.paho.on_message = self.on_message
        if will is not None:
            self.paho.will_set(*will)
        connect = {}
        if is_v5:
            from paho.mqtt.properties import Properties
            from paho.mqtt.packettypes import PacketTypes

            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 300
            connect = {"clean_start": clean, "properties": properties}
        self.paho.connect("127.0.0.1", port, 30, **connect)
        self.paho.loop_start()
        check(self.connected.wait(wait_seconds), client_id + " connects")

    def on_connect(self, _client, _userdata, flags, *_):
        self.session_present = flags["session present"]
        self.connected.set()

    def on_message(self, _client, _userdata, message):
        with self.changed:
            self.received.append((message.topic, message.payload.decode(), message.qos, bool(message.retain)))
            self.changed.notify_all()

    def subscribe(self, topic, qos):
        self.subscribed.clear()
        self.paho.subscribe(topic, qos)
        check(self.subscribed.wait(wait_seconds), "subscription to " + topic)

    def publish(self, topic, payload, qos, retain=False):
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(wait_seconds)

    def expect(self, name, messages):
        with self.changed:
            self.changed.wait_for(lambda: len(self.received) >= len(messages), wait_seconds)
            check(self.received == messages, "%s: %s, expected %s" % (name, self.received, messages))
            self.received.clear()
        print("ok " + name, flush=True)

    def leave(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def check(holds, what):
    if not holds:
        print("failed: " + what, flush=True)
        sys.exit(1)


prefix = "paho/" + sys.argv[2] + "/"
subscriber = Client("paho-subscriber")
publisher = Client("paho-publisher")

subscriber.subscribe(prefix + "levels/+", 2)
for qos in (0, 1, 2):
    publisher.publish(prefix + "levels/%d" % qos, "level %d" % qos, qos)
    subscriber.expect("QoS %d" % qos, [(prefix + "levels/%d" % qos, "level %d" % qos, qos, False)])

for i in range(100):
    publisher.publish(prefix + "levels/many", str(i), 2)
subscriber.expect("order of QoS 2", [(prefix + "levels/many", str(i), 2, False) for i in range(100)])

publisher.publish(prefix + "kept", "state", 1, True)
subscriber.subscribe(prefix + "kept", 1)
subscriber.expect("retained", [(prefix + "kept", "state", 1, True)])

away_id = "paho-away-" + sys.argv[2]
away = Client(away_id, clean=False)
check(not away.session_present, "a new session is not present")
away.subscribe(prefix + "queue", 2)
away.leave()
for i in range(20):
    publisher.publish(prefix + "queue", str(i), 1 + i // 10)
back = Client(away_id, clean=False)
check(back.session_present, "the session is present")
back.expect("queued", [(prefix + "queue", str(i), 1 + i // 10, False) for i in range(20)])

subscriber.subscribe(prefix + "will", 1)
dying = Client("paho-dying", will=(prefix + "will", "gone", 1, False))
dying.paho.loop_stop()
dying.paho._sock_close()
subscriber.expect("will", [(prefix + "will", "gone", 1, False)])

for client in (back, subscriber, publisher):
    client.leave()
