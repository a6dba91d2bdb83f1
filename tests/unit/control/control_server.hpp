#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <thread>

#include "base/task_group.hpp"
#include "fake_control_api.hpp"
#include "supervisor/control/http_server.hpp"

namespace supervise::test {

class TempDir {
  public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "supervise-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("no temporary directory");
        }
        path_ = name;
    }
    ~TempDir() { std::filesystem::remove_all(path_); }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// A real HttpServer with a fake supervisor behind it, on a thread of its own.
class ControlServer {
  public:
    explicit ControlServer(control::HttpServer::Options options = {})
        : server_(io_.get_executor(), api, system_clock(), Logger{}, in(dir_, std::move(options))),
          group_(io_.get_executor()) {
        const auto opened = server_.open();
        if (!opened) {
            throw std::runtime_error(opened.error().message());
        }
    }
    ~ControlServer() { stop(); }

    /// Apart from the constructor, so that a test can set the fake up before.
    ControlServer& start() {
        group_.spawn("control", server_.run());
        thread_ = std::thread([this] { io_.run(); });
        return *this;
    }
    void stop() {
        if (thread_.joinable()) {
            boost::asio::post(io_, [this] { group_.cancel(); });
            thread_.join();
        }
    }
    /// Ends it from within a request.
    void cancel_soon() {
        boost::asio::post(io_, [this] { group_.cancel(); });
    }

    const std::string& runtime_dir() const { return dir_.path(); }
    control::HttpServer& server() { return server_; }

    FakeControlApi api;

  private:
    static control::HttpServer::Options in(const TempDir& dir,
                                           control::HttpServer::Options options) {
        options.runtime_dir = dir.path();
        return options;
    }

    TempDir dir_;
    boost::asio::io_context io_{1};
    control::HttpServer server_;
    TaskGroup group_;
    std::thread thread_;
};

}  // namespace supervise::test
