#include "config/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace supervise::config {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::array<Unit, 4> size_units{{
    {"T", 1ULL << 40},
    {"G", 1ULL << 30},
    {"M", 1ULL << 20},
    {"K", 1ULL << 10},
}};
constexpr std::array<Unit, 5> time_units{{
    {"d", 86'400'000},
    {"h", 3'600'000},
    {"m", 60'000},
    {"s", 1'000},
    {"ms", 1},
}};

/// What people write for the units above, in other programs' config files or by habit.
constexpr std::array<std::pair<std::string_view, std::string_view>, 20> habits{{
    {"day", "d"},     {"days", "d"}, {"D", "d"},     {"hour", "h"},          {"hours", "h"},
    {"hr", "h"},      {"H", "h"},    {"min", "m"},   {"mins", "m"},          {"minute", "m"},
    {"minutes", "m"}, {"M", "m"},    {"sec", "s"},   {"secs", "s"},          {"second", "s"},
    {"seconds", "s"}, {"S", "s"},    {"msec", "ms"}, {"milliseconds", "ms"}, {"MS", "ms"},
}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' '; }

std::string in_quotes(std::string_view text) { return '"' + std::string(text) + '"'; }

/// "12", "12.5" and the letters behind it, cut off the front of a text.
struct Part {
    std::string_view whole;     ///< the digits before the point
    std::string_view fraction;  ///< those after it
    std::string_view unit;
};

std::string_view take(std::string_view& text, bool (*wanted)(char)) {
    std::size_t size = 0;
    while (size < text.size() && wanted(text[size])) {
        ++size;
    }
    const std::string_view out = text.substr(0, size);
    text.remove_prefix(size);
    return out;
}

std::optional<Part> take_part(std::string_view& text) {
    Part part;
    take(text, is_blank);
    part.whole = take(text, is_digit);
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        part.fraction = take(text, is_digit);
        if (part.fraction.empty()) {
            return std::nullopt;
        }
    }
    take(text, is_blank);
    part.unit = take(text, [](char c) { return !is_digit(c) && !is_blank(c) && c != '.'; });
    take(text, is_blank);
    if (part.whole.empty()) {
        return std::nullopt;
    }
    return part;
}

/// whole.fraction * factor where that is a whole number of 64 bits.
enum class Sum { exact, not_whole, too_large };
Sum multiply(const Part& part, std::uint64_t factor, std::uint64_t& out) {
    std::uint64_t whole = 0;
    const auto read =
        std::from_chars(part.whole.data(), part.whole.data() + part.whole.size(), whole);
    if (read.ec != std::errc{} || __builtin_mul_overflow(whole, factor, &out)) {
        return Sum::too_large;
    }
    if (part.fraction.size() > 6) {
        return Sum::not_whole;  // and what follows cannot overflow: 10^6 * 1T
    }
    std::uint64_t fraction = 0;
    std::uint64_t scale = 1;
    for (const char digit : part.fraction) {
        fraction = fraction * 10 + static_cast<std::uint64_t>(digit - '0');
        scale *= 10;
    }
    if (fraction * factor % scale != 0) {
        return Sum::not_whole;
    }
    if (__builtin_add_overflow(out, fraction * factor / scale, &out)) {
        return Sum::too_large;
    }
    return Sum::exact;
}

UnitError not_a_size(std::string_view rest = {}) {
    return {"is not a size: write " +
            (rest.empty() ? std::string("\"512M\" or \"2G\"") : std::string(rest))};
}

UnitError not_a_time() { return {"is not a time: write \"30s\", \"5m\" or \"1h30m\""}; }

/// The size unit that "mb", "m", "MB" and so on most likely mean; 0 is none.
char meant_size_unit(std::string_view unit) {
    const char first = static_cast<char>(unit.front() & ~0x20);
    const bool known = first == 'K' || first == 'M' || first == 'G' || first == 'T';
    return known && unit.size() <= 3 ? first : '\0';
}

const Unit* find_time_unit(std::string_view name) {
    for (const Unit& unit : time_units) {
        if (unit.name == name) {
            return &unit;
        }
    }
    return nullptr;
}

UnitError unknown_time_unit(const Part& part) {
    std::string text = "has the unknown unit " + in_quotes(part.unit.substr(0, 20)) +
                       " (units are d, h, m, s, ms)";
    for (const auto& [habit, unit] : habits) {
        if (habit == part.unit) {
            text += ": write " + in_quotes(std::string(part.whole) + std::string(unit));
        }
    }
    return {text};
}

}  // namespace

Parsed<std::uint64_t> parse_size(std::string_view text) {
    const std::optional<Part> part = take_part(text);
    if (!part || !text.empty()) {
        return not_a_size();
    }
    std::uint64_t factor = part->unit.empty() ? 1 : 0;
    for (const Unit& unit : size_units) {
        if (part->unit == unit.name || part->unit == std::string(unit.name) + "iB") {
            factor = unit.factor;
        }
    }
    if (factor == 0) {
        const char meant = meant_size_unit(part->unit);
        const std::string number =
            std::string(part->whole) +
            (part->fraction.empty() ? "" : "." + std::string(part->fraction));
        return meant == '\0'
                   ? UnitError{"has the unknown unit " + in_quotes(part->unit.substr(0, 20)) +
                               " (units are K, M, G, T): write \"512M\" or \"2G\""}
                   : not_a_size(in_quotes(number + meant) + " (units are K, M, G, T, " +
                                "each 1024 times the one before)");
    }
    std::uint64_t bytes = 0;
    switch (multiply(*part, factor, bytes)) {
        case Sum::exact:
            return bytes;
        case Sum::not_whole:
            return UnitError{"is not a whole number of bytes: use a smaller unit, as in \"1536M\""};
        case Sum::too_large:
            break;
    }
    return UnitError{"is too large: write \"512M\" or \"2G\""};
}

Parsed<Milliseconds> parse_time(std::string_view text) {
    if (text.empty()) {
        return not_a_time();
    }
    std::uint64_t total = 0;
    const Unit* last = nullptr;
    while (!text.empty()) {
        const std::optional<Part> part = take_part(text);
        if (!part) {
            return not_a_time();
        }
        if (part->unit.empty()) {
            return UnitError{"has no unit: write " + in_quotes(std::string(part->whole) + "s")};
        }
        const Unit* unit = find_time_unit(part->unit);
        if (unit == nullptr) {
            return unknown_time_unit(*part);
        }
        if (last != nullptr && unit->factor >= last->factor) {
            return UnitError{"must name each unit once, the largest first, as in \"1h30m\""};
        }
        last = unit;
        std::uint64_t value = 0;
        const Sum sum = multiply(*part, unit->factor, value);
        if (sum == Sum::not_whole) {
            return UnitError{"is finer than a millisecond: write \"1ms\" or more"};
        }
        if (sum == Sum::too_large || __builtin_add_overflow(total, value, &total) ||
            total > static_cast<std::uint64_t>(Milliseconds::max().count())) {
            return UnitError{"is too long: write \"30s\" or \"6h\""};
        }
    }
    return Milliseconds(static_cast<Milliseconds::rep>(total));
}

Parsed<Milliseconds> time_from_seconds(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e12) {
        return UnitError{"is not a time: write seconds such as 30 or 0.5, or \"30s\""};
    }
    return Milliseconds(std::llround(seconds * 1'000));
}

std::string format_size(std::uint64_t bytes) {
    for (const Unit& unit : size_units) {
        if (bytes != 0 && bytes % unit.factor == 0) {
            return std::to_string(bytes / unit.factor) + std::string(unit.name);
        }
    }
    return std::to_string(bytes);
}

std::string format_time(Milliseconds time) {
    std::string text;
    auto rest = static_cast<std::uint64_t>(time.count());
    for (const Unit& unit : time_units) {
        if (rest >= unit.factor) {
            text += std::to_string(rest / unit.factor) + std::string(unit.name);
            rest %= unit.factor;
        }
    }
    return text.empty() ? "0s" : text;
}

}  // namespace supervise::config
