#pragma once
// Logs to triage: one made from a seed, and any file with rare lines put into it.

#include "rare_lines.hpp"

#include <nullm/core/random.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace decode {

/// usual: of a template; rare: injected, once, of none; urgent: of a template, and of the never-drop pattern.
enum class line_kind : std::uint8_t { usual, rare, urgent };

struct log_line {
    std::string text;  // without its newline
    line_kind kind = line_kind::usual;
};

/// What urgent lines of a synthetic log hold, and nothing else in it does.
inline constexpr const char* urgent_pattern = "ERROR|FATAL";

namespace detail {

/// Numbers in order, from one seed.
class dice {
 public:
    explicit dice(std::uint64_t seed) : key_{.seed = seed} {}
    std::size_t below(std::size_t n) { return nullm::draw_u32(key_, next_++) % n; }
    double uniform() { return static_cast<double>(nullm::draw_uniform(key_, next_++)); }
    template <class Range>
    const auto& of(const Range& range) {
        return range[below(std::size(range))];
    }

 private:
    nullm::draw_key key_;
    std::uint32_t next_ = 0;
};

struct log_template {
    double weight;       // how often an event picks it, relative
    std::size_t repeat;  // a burst repeats it up to so many times; 1: it comes alone
    std::string_view text;
};

/// A line's varying parts: {n} a number, {d} a digit, {ms} a duration, {ip}, {hex}, {uuid}, {user}, {path},
/// {unit}. The weights span three decades, so that some templates are nearly as rare as what is injected.
inline constexpr auto log_templates = std::to_array<log_template>({
    {30, 1, "nginx[52]: {ip} \"GET {path} HTTP/1.1\" 200 {n} {ms}"},
    {12, 1, "nginx[52]: {ip} \"GET {path} HTTP/1.1\" 304 0 {ms}"},
    {8, 1, "nginx[52]: {ip} \"POST {path} HTTP/1.1\" 201 {n} {ms}"},
    {5, 30, "nginx[52]: {ip} \"GET {path} HTTP/1.1\" 404 {n} {ms}"},
    {0.6, 60, "nginx[52]: upstream {unit} answered 502 to {ip} after {ms}, next upstream"},
    {0.3, 1, "nginx[52]: a client request body is buffered to a temporary file /var/cache/nginx/{n}"},
    {4, 1, "sshd[{n}]: Accepted publickey for {user} from {ip} port {n} ssh2: ED25519 SHA256:{hex}"},
    {4, 1, "sshd[{n}]: pam_unix(sshd:session): session opened for user {user}(uid={n}) by (uid=0)"},
    {4, 1, "sshd[{n}]: pam_unix(sshd:session): session closed for user {user}"},
    {2, 80, "sshd[{n}]: Failed password for invalid user {user} from {ip} port {n} ssh2"},
    {2, 1, "sshd[{n}]: Connection closed by authenticating user {user} {ip} port {n} [preauth]"},
    {0.2, 1, "sshd[{n}]: Received disconnect from {ip} port {n}:11: disconnected by user"},
    {6, 1, "systemd[1]: Started Session {n} of User {user}."},
    {5, 1, "systemd[1]: session-{n}.scope: Deactivated successfully."},
    {3, 1, "systemd[1]: Starting {unit}.service..."},
    {3, 1, "systemd[1]: {unit}.service: Consumed {ms} CPU time."},
    {0.15, 1, "systemd[1]: Reloading requested from client PID {n} ('systemctl')."},
    {8, 1, "postgres[880]: LOG:  duration: {ms}  statement: SELECT * FROM orders WHERE id = {n}"},
    {4, 1,
     "postgres[880]: LOG:  duration: {ms}  statement: UPDATE stock SET qty = qty - {d} WHERE sku = '{hex}'"},
    {2, 1, "postgres[880]: LOG:  checkpoint starting: time"},
    {2, 1, "postgres[880]: LOG:  checkpoint complete: wrote {n} buffers ({d}.{d}%); write={ms}, sync={ms}"},
    {0.4, 1, "postgres[880]: LOG:  automatic vacuum of table \"orders.public.lines\": index scans: {d}"},
    {3, 1, "CRON[{n}]: (root) CMD (test -x /usr/sbin/anacron || run-parts /etc/cron.hourly)"},
    {1, 1, "CRON[{n}]: ({user}) CMD (/usr/local/bin/rotate {path})"},
    {10, 1,
     "orders[640]: {\"level\":\"info\",\"msg\":\"order "
     "accepted\",\"order\":\"{uuid}\",\"items\":{d},\"ms\":{n}}"},
    {6, 1,
     "orders[640]: {\"level\":\"info\",\"msg\":\"payment captured\",\"order\":\"{uuid}\",\"amount\":{n}}"},
    {1.2, 40,
     "orders[640]: {\"level\":\"warn\",\"msg\":\"retrying payment\",\"order\":\"{uuid}\",\"attempt\":{d}}"},
    {0.1, 1, "orders[640]: {\"level\":\"info\",\"msg\":\"price list reloaded\",\"rows\":{n}}"},
    {6, 1, "kubelet[701]: Probe succeeded pod=\"prod/{unit}-{hex}\" latency={ms}"},
    {2, 1, "kubelet[701]: Container image already present on machine pod=\"prod/{unit}-{hex}\""},
    {1, 25, "kubelet[701]: Readiness probe failed pod=\"prod/{unit}-{hex}\" status={n}"},
    {0.2, 1, "kubelet[701]: Image garbage collection freed {n} bytes"},
    {1.5, 1, "kernel: audit: type=1400 audit({n}.{d}): apparmor=\"ALLOWED\" operation=\"open\" pid={n}"},
    {0.5, 1, "kernel: TCP: request_sock_TCP: Possible SYN flooding on port {n}. Sending cookies."},
    {0.15, 1, "kernel: eth0: Link is Up - 1Gbps/Full - flow control rx/tx"},
    {0.06, 1, "kernel: perf: interrupt took too long ({n} > {n}), lowering the sample rate to {n}"},
    {1, 1, "dhclient[345]: DHCPACK of {ip} from 10.0.0.1; renewal in {n} seconds"},
    {0.8, 1, "backup[9100]: chunk {hex} stored, {n} bytes in {ms}"},
    {0.5, 15, "gateway[33]: ERROR upstream {unit} timed out after {ms} (attempt {d})"},
    {0.25, 1,
     "orders[640]: {\"level\":\"ERROR\",\"msg\":\"card declined\",\"order\":\"{uuid}\",\"code\":{n}}"},
    {0.08, 1, "postgres[880]: FATAL:  remaining connection slots are reserved for superusers"},
    {0.05, 1, "gateway[33]: FATAL cannot bind 0.0.0.0:{n}, exiting"},
});

inline std::string hex_digits(dice& random, std::size_t n) {
    std::string text;
    while (n-- > 0) text += "0123456789abcdef"[random.below(16)];
    return text;
}

inline std::string varying(dice& random, std::string_view what) {
    static constexpr std::string_view users[] = {"deploy", "alice", "bob",  "carol", "root",
                                                 "ci",     "admin", "test", "guest"};
    static constexpr std::string_view units[] = {"cart",      "search", "billing", "logrotate",
                                                 "apt-daily", "web",    "fstrim"};
    static constexpr std::string_view paths[] = {
        "/",           "/api/v1/orders", "/api/v1/cart", "/static/app.js",
        "/index.html", "/search?q=tea",  "/login",       "/img/logo.png"};
    if (what == "d") return std::to_string(random.below(10));
    // Log-uniform: identifiers and sizes have one to six digits.
    if (what == "n") return std::to_string(static_cast<long>(std::exp(random.uniform() * 13.0)));
    if (what == "ms")
        return std::to_string(random.below(900)) + "." + std::to_string(random.below(1000)) + " ms";
    if (what == "hex") return hex_digits(random, 8);
    if (what == "user") return std::string(random.of(users));
    if (what == "unit") return std::string(random.of(units));
    if (what == "path") return std::string(random.of(paths));
    if (what == "uuid") {
        return hex_digits(random, 8) + "-" + hex_digits(random, 4) + "-" + hex_digits(random, 4) + "-" +
               hex_digits(random, 12);
    }
    std::string ip = "10";
    for (int i = 0; i < 3; ++i) ip += "." + std::to_string(random.below(i == 0 ? 4 : 250));
    return ip;
}

inline std::string fill(dice& random, std::string_view text) {
    std::string line;
    while (!text.empty()) {
        const std::size_t open = text.find('{');
        const std::size_t close = open == text.npos ? open : text.find('}', open);
        const std::string_view name = close == text.npos ? "" : text.substr(open + 1, close - open - 1);
        // JSON has braces of its own.
        if (name.empty() || name.size() > 4 || name.find('"') != name.npos) {
            const std::size_t end = open == text.npos ? text.size() : open + 1;
            line += text.substr(0, end);
            text.remove_prefix(end);
            continue;
        }
        line += text.substr(0, open);
        line += varying(random, name);
        text.remove_prefix(close + 1);
    }
    return line;
}

/// Seconds of one day as a log writes them.
inline std::string stamp(double seconds) {
    const auto ms = static_cast<long>(seconds * 1000);
    char text[64];
    std::snprintf(text, sizeof text, "2026-03-%02ldT%02ld:%02ld:%02ld.%03ldZ web1 ", 1 + ms / 86400000,
                  ms / 3600000 % 24, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    return text;
}

}  // namespace detail

/// `count` places of 0 ... size - 1, ascending, and as many different lines of rare_lines for them.
struct rare_places {
    std::vector<std::size_t> at, line;
    rare_places(std::uint64_t seed, std::size_t size, std::size_t count) {
        detail::dice random(seed ^ 0x72617265);
        line.resize(rare_lines.size());
        std::iota(line.begin(), line.end(), std::size_t{0});
        for (std::size_t i = 0; i < line.size(); ++i)
            std::swap(line[i], line[i + random.below(line.size() - i)]);
        line.resize(std::min(count, line.size()));
        while (at.size() < std::min(line.size(), size)) {
            const std::size_t place = random.below(size);
            if (std::find(at.begin(), at.end(), place) == at.end()) at.push_back(place);
        }
        std::sort(at.begin(), at.end());
    }
};

/// A log of `lines` lines, `rare` of which occur once and match no template. Events come at exponential
/// intervals; some are bursts, whose lines come within milliseconds.
inline std::vector<log_line> synthetic_log(std::uint64_t seed, std::size_t lines, std::size_t rare = 50) {
    const rare_places places(seed, lines, rare);
    detail::dice random(seed);
    double total = 0;
    for (const auto& t : detail::log_templates) total += t.weight;
    std::vector<log_line> log;
    double now = 0;
    const detail::log_template* burst = nullptr;
    std::size_t left = 0, injected = 0;
    while (log.size() < lines) {
        now += -std::log(1 - random.uniform()) * (left > 0 ? 0.004 : 0.8);
        if (injected < places.at.size() && places.at[injected] == log.size()) {
            const std::string_view text = rare_lines[places.line[injected++]];
            log.push_back(
                {text.front() == '|' ? std::string(text.substr(1)) : detail::stamp(now) + std::string(text),
                 line_kind::rare});
            continue;
        }
        if (left > 0) {
            --left;
        } else {
            double pick = random.uniform() * total;
            burst = detail::log_templates.data();
            while (pick >= burst->weight &&
                   burst + 1 < detail::log_templates.data() + detail::log_templates.size())
                pick -= (burst++)->weight;
            left = burst->repeat > 1 && random.below(4) == 0 ? random.below(burst->repeat) : 0;
        }
        const bool urgent =
            burst->text.find("ERROR") != burst->text.npos || burst->text.find("FATAL") != burst->text.npos;
        log.push_back({detail::stamp(now) + detail::fill(random, burst->text),
                       urgent ? line_kind::urgent : line_kind::usual});
    }
    return log;
}

/// A given log with `rare` lines put between its own, each under the time stamp (the first `stamp` bytes) of
/// the line before it.
inline std::vector<log_line> with_rare_lines(std::vector<log_line> log, std::uint64_t seed, std::size_t stamp,
                                             std::size_t rare = 50) {
    const rare_places places(seed, log.size(), rare);
    std::vector<log_line> mixed;
    std::size_t injected = 0;
    for (std::size_t i = 0; i < log.size(); ++i) {
        const std::string time = log[i].text.substr(0, stamp);
        mixed.push_back(std::move(log[i]));
        if (injected < places.at.size() && places.at[injected] == i) {
            const std::string_view text = rare_lines[places.line[injected++]];
            mixed.push_back({text.front() == '|' ? std::string(text.substr(1)) : time + std::string(text),
                             line_kind::rare});
        }
    }
    return mixed;
}

}  // namespace decode
