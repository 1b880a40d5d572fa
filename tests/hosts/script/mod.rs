//! The script that every host has to pass on every store. Each case gets a
//! [`Stage`](crate::site::Stage) of its own.

pub(crate) mod cookies;
#[cfg(feature = "device-bound")]
pub(crate) mod devices;
pub(crate) mod failures;
pub(crate) mod hanging_up;
pub(crate) mod headers;
pub(crate) mod layers;
pub(crate) mod lifetimes;
pub(crate) mod outages;
pub(crate) mod races;
pub(crate) mod secrets;
pub(crate) mod signing_in;
pub(crate) mod streams;

/// A test for each case, on the stage that `$stage` sets.
macro_rules! cases {
    ($stage:expr, $($(#[$present:meta])* $area:ident { $($(#[$when:meta])* $case:ident,)* })*) => {$(
        $(#[$present])*
        mod $area {
            $(
                $(#[$when])*
                #[tokio::test]
                async fn $case() {
                    crate::script::$area::$case($stage).await;
                }
            )*
        }
    )*};
}

macro_rules! script {
    ($stage:expr) => {
        cases! { $stage,
            cookies {
                a_route_that_never_uses_the_session_costs_nothing,
                an_anonymous_read_costs_no_store_call_and_sets_no_cookie,
                a_session_is_loaded_once_and_its_cookie_sent_once,
                a_forged_cookie_costs_no_store_call,
                cookies_in_several_headers_are_read,
                a_foreign_cookie_of_any_bytes_does_not_cost_the_session,
                a_cookie_whose_name_resembles_ours_is_never_ours,
                #[cfg(feature = "express")]
                a_cookie_whose_name_resembles_that_of_express_is_never_ours,
                #[cfg(feature = "express")]
                a_cookie_whose_name_resembles_that_of_express_on_one_host_is_never_ours,
                cookies_of_ended_sessions_do_not_hide_the_one_that_lives,
                the_default_cookie_keeps_its_attributes_for_life,
                a_cookie_with_every_attribute_keeps_them_for_life,
            }
            #[cfg(feature = "device-bound")]
            devices {
                a_sign_in_offers_to_bind_and_a_proof_binds,
                a_stolen_cookie_is_of_use_until_its_proof_is_too_old,
                a_missing_proof_is_treated_as_the_policy_says,
                a_skipped_proof_signs_nobody_out,
                what_is_no_registration_is_refused,
                what_is_no_proof_is_refused,
                a_proof_of_an_old_challenge_is_refused,
                a_renewal_keeps_the_binding_and_a_sign_in_begins_anew,
                nothing_brings_a_bound_cookie_back_after_the_end,
                what_is_sensitive_waits_for_a_proof,
                a_store_that_is_away_ends_no_binding,
            }
            failures {
                a_panic_leaves_the_stored_session_whole,
                a_server_error_saves_no_data,
                any_other_status_saves_the_data,
                a_server_error_still_logs_out,
                a_handler_that_did_not_get_to_its_end_stores_nothing,
                a_handler_that_middleware_ended_stores_nothing,
                what_a_handler_saved_before_middleware_ended_it_brings_the_new_id,
                a_server_error_after_a_save_brings_the_new_id,
                a_handler_may_answer_a_save_that_failed,
                data_over_the_limit_is_a_500_and_the_record_stays_as_it_was,
            }
            hanging_up {
                a_request_given_up_in_its_handler_leaves_the_stored_session_whole,
                a_request_given_up_while_it_is_stored_is_stored,
                a_request_given_up_in_a_sign_in_leaves_no_way_back,
                a_request_given_up_in_a_logout_is_logged_out,
            }
            headers {
                a_handlers_cache_control_gives_way_where_the_cookie_is_set,
                what_would_override_no_store_goes_where_the_cookie_is_set,
                a_handlers_vary_is_merged_and_its_cookies_stay,
                an_answer_that_takes_the_handlers_place_takes_that_of_its_headers,
            }
            layers {
                layers_of_one_type_and_cookie_share_the_session,
                layers_of_one_type_and_two_cookies_are_refused_and_the_log_says_why,
                a_route_without_a_layer_is_refused_and_the_log_says_why,
                two_types_with_two_cookies_are_two_sessions,
                two_sessions_of_one_request_are_both_stored,
                everyone_who_handles_a_request_shares_one_load,
                a_middleware_that_fails_is_answered_as_a_handler_is,
            }
            lifetimes {
                a_session_that_is_not_used_ends,
                a_session_that_is_used_all_the_time_ends_at_its_absolute_timeout,
                a_session_that_is_read_is_touched_when_its_share_of_time_has_passed,
                a_persistent_cookie_is_sent_again_when_its_end_moved_and_only_then,
                a_remembered_session_outlives_the_others_and_its_cookie_the_browser,
                every_request_extends_the_session_where_the_layer_touches_always,
            }
            outages {
                a_failing_load_is_a_503_and_the_handler_does_not_run,
                whoever_has_no_session_is_served_while_loads_fail,
                a_failing_commit_is_a_503_in_place_of_the_handlers_answer,
                a_store_that_fails_the_handler_itself_is_a_503,
                a_sign_in_that_cannot_be_stored_is_a_503_and_leaves_the_old_session,
                a_logout_that_cannot_be_stored_is_a_503_and_still_removes_the_cookie,
                a_failing_touch_does_not_alter_the_answer,
            }
            races {
                a_request_that_outlives_the_session_does_not_bring_it_back,
                a_request_that_outlives_a_sign_in_does_not_disturb_its_cookie,
                writes_to_different_fields_at_once_are_both_kept,
                writes_that_contradict_each_other_are_a_409_for_the_later,
            }
            secrets {
                no_level_of_the_log_shows_an_id_a_signature_an_owner_or_data,
            }
            signing_in {
                a_sign_in_and_a_renewal_give_a_new_id_and_keep_the_data,
                a_sign_in_of_somebody_else_begins_with_nothing,
                a_logout_ends_the_session_for_every_holder_of_the_cookie,
                a_logout_has_the_browser_forget_what_it_is_asked_to,
                a_sign_in_whose_save_was_given_up_still_gets_a_new_id,
                who_does_something_sensitive_has_authenticated_recently,
            }
            streams {
                the_cookie_and_the_first_part_arrive_while_the_rest_is_being_made,
                a_body_that_nobody_waits_for_costs_the_session_nothing,
                a_failing_commit_takes_the_place_of_a_stream,
            }
        }
    };
}

/// The script for a host, which is named like its module.
macro_rules! script_for_every_store {
    ($host:ident) => {
        mod $host {
            mod in_memory {
                script!(crate::site::Stage::in_memory(crate::host::$host::HOST));
            }

            #[cfg(feature = "redis")]
            mod in_redis {
                script!(crate::site::Stage::in_redis(crate::host::$host::HOST).await);
            }

            #[cfg(all(feature = "seal", feature = "compress"))]
            mod sealed {
                script!(crate::site::Stage::sealed(crate::host::$host::HOST));
            }
        }
    };
}
