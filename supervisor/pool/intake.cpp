#include "intake.hpp"

#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// Results wait so long for others, at most.
constexpr Duration longest_hold = 1ms;

}  // namespace

std::vector<uid_t> uids_of(const std::vector<std::string>& users) {
    std::vector<uid_t> uids;
    for (const std::string& user : users) {
        uid_t number = 0;
        const auto [end, error] = std::from_chars(user.data(), user.data() + user.size(), number);
        if (error == std::errc{} && end == user.data() + user.size()) {
            uids.push_back(number);
        } else if (const passwd* entry = ::getpwnam(user.c_str())) {
            uids.push_back(entry->pw_uid);
        }
    }
    return uids;
}

Intake::Intake(PoolContext& context, ClientDesk& desk, JobDesk& jobs,
               std::shared_ptr<const PoolSettings> settings)
    : context_(context),
      desk_(desk),
      jobs_(jobs),
      settings_(std::move(settings)),
      allowed_(submitters()),
      accepting_(context.executor),
      serving_(context.executor) {}

mode_t Intake::socket_mode() const {
    // Connecting needs the right to write. Who of "all" comes in is decided by SO_PEERCRED.
    return allowed_.empty() ? 0600 : 0666;
}

/// Whose own front it is that comes with the pool's user, may come in.
std::vector<uid_t> Intake::submitters() const {
    std::vector<std::string> users = settings_->clients;
    if (settings_->front && settings_->user) {
        users.push_back(*settings_->user);
    }
    return uids_of(users);
}

Result<void> Intake::open() {
    Result<ipc::Listener> listener = ipc::Listener::open(
        context_.executor, context_.runtime_dir + '/' + settings_->name + ".sock", socket_mode(),
        *context_.clock);
    if (!listener) {
        return listener.error();
    }
    listener_ = std::make_unique<ipc::Listener>(std::move(*listener));
    return {};
}

asio::awaitable<void> Intake::run() {
    accepting_.spawn("intake of " + settings_->name, accept());
    co_await accepting_.join();
    listener_.reset();  // unlinks the path
    const TimePoint until = context_.clock->now() + 2s;
    while (context_.clock->now() < until) {
        flush_all();
        const bool drained = std::all_of(sessions_.begin(), sessions_.end(),
                                         [](const auto& each) { return each.drained(); });
        if (drained) {
            break;
        }
        co_await context_.clock->sleep_for(5ms);
    }
    for (ClientSession& session : sessions_) {
        session.close(ipc::Refusal::stopping, "the pool has stopped");
    }
    co_await serving_.join();
    // A flush that was posted still points here; posts run in their order.
    co_await asio::post(context_.executor, asio::use_awaitable);
}

void Intake::stop() { accepting_.cancel(); }

asio::awaitable<void> Intake::accept() {
    for (;;) {
        UniqueFd socket = co_await listener_->accept();
        if (!admit(socket)) {
            continue;
        }
        sessions_.emplace_back(context_.executor, *context_.clock, desk_, jobs_, std::move(socket));
        serving_.spawn("client of " + settings_->name, serve(std::prev(sessions_.end())));
    }
}

bool Intake::admit(const UniqueFd& socket) {
    ipc::Close refusal;
    const Result<ipc::PeerCredentials> peer = ipc::peer_credentials(socket.get());
    const bool known =
        peer && (peer->uid == 0 || peer->uid == ::geteuid() ||
                 std::find(allowed_.begin(), allowed_.end(), peer->uid) != allowed_.end());
    std::string message;
    if (!known) {
        refusal.reason = ipc::Refusal::not_permitted;
        message = "user " + (peer ? std::to_string(peer->uid) : std::string("unknown")) +
                  " may not submit to pool " + settings_->name + "; add it to clients = [...]";
    } else if (sessions_.size() >= settings_->jobs.max_clients) {
        refusal.reason = ipc::Refusal::too_many_clients;
        message = "pool " + settings_->name + " has " + std::to_string(sessions_.size()) +
                  " clients, its limit (jobs.max_clients)";
    } else {
        return true;
    }
    refusal.message = message;
    const ipc::Frame frame = ipc::encode(refusal);
    ::send(socket.get(), frame.bytes().data(), frame.bytes().size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    context_.logger.warning(
        "client.refused",
        {{"pool", settings_->name}, {"pid", peer ? peer->pid : 0}, {"reason", message}});
    return false;
}

asio::awaitable<void> Intake::serve(std::list<ClientSession>::iterator session) {
    try {
        co_await session->run();
    } catch (const std::exception& error) {
        // One client's trouble must not end the others.
        context_.logger.warning("client.failed",
                                {{"pool", settings_->name}, {"error", error.what()}});
    }
    jobs_.forget(*session, context_.clock->now());
    std::erase(dirty_, &*session);
    sessions_.erase(session);
}

void Intake::apply(std::shared_ptr<const PoolSettings> settings) {
    const bool resized = settings_->max_workers != settings->max_workers;
    settings_ = std::move(settings);
    allowed_ = submitters();
    for (ClientSession& session : sessions_) {
        if (resized) {
            session.tell_size();
        }
    }
    if (listener_) {
        ::chmod(listener_->path().c_str(), socket_mode());
    }
}

void Intake::check(TimePoint now) {
    for (ClientSession& session : sessions_) {
        session.check(now);
    }
}

void Intake::flush_later(ClientSession& session) {
    dirty_.push_back(&session);
    if (!flush_posted_) {
        flush_posted_ = true;
        asio::post(context_.executor, [this] {
            flush_posted_ = false;
            end_turn();
        });
    }
}

void Intake::end_turn() {
    std::erase_if(dirty_, [](ClientSession* session) { return !session->flush_or_hold(); });
    if (!dirty_.empty() && !holding_) {
        holding_ = true;
        serving_.spawn("held results of " + settings_->name, flush_held());
    }
}

asio::awaitable<void> Intake::flush_held() {
    co_await context_.clock->sleep_for(longest_hold);
    holding_ = false;
    flush_all();
}

void Intake::flush_all() {
    for (ClientSession* const session : std::exchange(dirty_, {})) {
        session->flush();
    }
}

}  // namespace supervise
