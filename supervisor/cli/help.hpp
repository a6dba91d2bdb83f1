#pragma once

/// The words of --help that CLI11 does not make.
namespace supervise::cli {

extern const char* const main_footer;
extern const char* const run_footer;
extern const char* const check_footer;
extern const char* const status_footer;
extern const char* const doctor_footer;
extern const char* const submit_footer;
extern const char* const recycle_footer;
extern const char* const scale_footer;
extern const char* const pause_footer;
extern const char* const resume_footer;
extern const char* const reload_footer;
extern const char* const stop_footer;
extern const char* const why_footer;

}  // namespace supervise::cli
