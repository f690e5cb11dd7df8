"""A BitTorrent peer without discovery, for benchmarks (Debian's python3-libtorrent).

seed FOLDER TORRENT PORT [LIMIT]      makes the torrent and seeds the folder, at most LIMIT bytes a second
get TORRENT TARGET PORT PEER...       downloads from these ports of 127.0.0.1, prints "done", and seeds until it is killed
"""

import os
import sys
import time

import libtorrent

how, *args = sys.argv[1:]


def session(port, limit=0):
    return libtorrent.session({
        "listen_interfaces": f"127.0.0.1:{port}",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "allow_multiple_connections_per_ip": True,
        "upload_rate_limit": limit,
    })


def limit_everybody(running):
    """Applies limits to peers in the local network, too, which are in a class of their own."""
    classes = libtorrent.ip_filter()
    classes.add_rule("0.0.0.0", "255.255.255.255", 0)
    running.set_peer_class_filter(classes)


if how == "seed":
    folder, torrent, port = args[:3]
    running = session(port, int(args[3]) if len(args) > 3 else 0)
    if len(args) > 3:
        limit_everybody(running)
    files = libtorrent.file_storage()
    libtorrent.add_files(files, folder, lambda path: ".p2p-peer" not in path)
    made = libtorrent.create_torrent(files)
    libtorrent.set_piece_hashes(made, os.path.dirname(os.path.abspath(folder)))
    with open(torrent + ".part", "wb") as file:
        file.write(libtorrent.bencode(made.generate()))
    info = libtorrent.torrent_info(torrent + ".part")
    running.add_torrent({
        "ti": info,
        "save_path": os.path.dirname(os.path.abspath(folder)),
        "flags": libtorrent.torrent_flags.seed_mode,
    })
    os.rename(torrent + ".part", torrent)
    while True:
        time.sleep(60)

torrent, target, port, *peers = args
running = session(port)
handle = running.add_torrent({"ti": libtorrent.torrent_info(torrent), "save_path": target})
for peer in peers:
    handle.connect_peer(("127.0.0.1", int(peer)))
while not handle.status().is_seeding:
    time.sleep(0.005)
print("done", flush=True)
if os.environ.get("STAY"):
    while True:
        time.sleep(60)
