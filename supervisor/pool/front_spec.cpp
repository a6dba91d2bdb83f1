#include "front_spec.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <tuple>

#include "worker_spec.hpp"

namespace supervise {
namespace {

std::string host_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : ",") + word;
    }
    return text;
}

std::string upper(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    return text;
}

}  // namespace

std::string front_node(const PoolSettings& settings, unsigned place) {
    std::string node = settings.front->hostname;
    if (node.empty()) {
        node = settings.name + "@%h";
    }
    if (place > 0) {
        node.insert(node.find('@'), "-2");
    }
    for (std::size_t at = 0; (at = node.find("%h", at)) != std::string::npos;) {
        const std::string host = host_name();
        node.replace(at, 2, host);
        at += host.size();
    }
    return node;
}

Result<LaunchSpec> make_front_spec(const PoolSettings& settings, const PoolContext& context,
                                   const std::string& node) {
    Result<LaunchSpec> spec = make_worker_spec(settings, context);
    if (!spec) {
        return spec;
    }
    const FrontSettings& front = *settings.front;
    const std::string size = std::to_string(std::max(settings.max_workers, 1U));
    spec->argv.insert(spec->argv.end(), {"--pool", settings.name, "--front", "-c", size, "-n", node,
                                         "-l", upper(front.log_level)});
    if (!front.queues.empty()) {
        spec->argv.insert(spec->argv.end(), {"-Q", joined(front.queues)});
    }
    spec->argv.insert(spec->argv.end(), front.arguments.begin(), front.arguments.end());
    put_variable(spec->environment, "SUPERVISE_SOCKET",
                 context.runtime_dir + '/' + settings.name + ".sock");
    // Its death would cost the broker's redelivery of all that it holds.
    spec->oom_score_adj = std::min(spec->oom_score_adj, 0);
    return spec;
}

bool needs_new_front(const FrontSettings& before, const FrontSettings& after) {
    const auto of_a_process = [](const FrontSettings& front) {
        return std::tie(front.queues, front.hostname, front.log_level, front.arguments, front.hard);
    };
    return of_a_process(before) != of_a_process(after);
}

}  // namespace supervise
