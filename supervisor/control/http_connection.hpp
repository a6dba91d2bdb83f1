#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <optional>
#include <string>

#include "ipc/listener.hpp"
#include "router.hpp"
#include "supervise/clock.hpp"
#include "supervise/logger.hpp"

namespace supervise::control {

/// One client of the control plane.
struct HttpClient {
    boost::asio::generic::stream_protocol::socket socket;
    std::optional<ipc::PeerCredentials> peer;  ///< none: it came over TCP
    bool operates = true;                      ///< else the peer may only ask for its own pools
};

/// Serves one client until it leaves, breaks a rule or is idle for too long: request by request,
/// never two at once. Throws only when cancelled. What is passed by reference outlives it.
boost::asio::awaitable<void> serve_client(HttpClient client, Router& router, Clock& clock,
                                          const Logger& logger, Duration idle_timeout);

/// A whole response to a connection that is closed next, as bytes.
std::string refusal_text(const ApiError& error);

}  // namespace supervise::control
