"""The bare worker: sends every frame back, after the sleep that its ninth byte asks for (ms)."""

import socket
import time

channel = socket.socket(fileno=3)
channel.send(b"ready")
while frame := channel.recv(64):
    if frame[8]:
        time.sleep(frame[8] / 1000)
    channel.send(frame)
