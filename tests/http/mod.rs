//! The script that the example of every host framework has to pass; `examples/README.md` is what
//! it holds them to. Each case gets a [`Stage`](stage::Stage) of its own, starts the application on
//! it, and speaks HTTP as a [`Visitor`](visitor::Visitor).

pub(crate) mod stage;
pub(crate) mod visitor;

pub(crate) mod cookies;
pub(crate) mod hostile;
#[cfg(feature = "redis")]
pub(crate) mod instances;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod outages;
#[cfg(feature = "redis")]
pub(crate) mod production;
pub(crate) mod races;
#[cfg(feature = "redis")]
pub(crate) mod secrets;
pub(crate) mod shop;
pub(crate) mod signing_in;
pub(crate) mod stats;

/// A test for each case, on one host and one backend.
macro_rules! script {
    ($host:expr, $backend:ident, $($area:ident { $($case:ident,)* })*) => {$(
        mod $area {
            use crate::http::stage::{Backend, Stage};

            $(
                #[tokio::test]
                async fn $case() {
                    let stage = Stage::set($host, Backend::$backend).await;
                    crate::http::$area::$case(stage).await;
                }
            )*
        }
    )*};
}

macro_rules! script_for_every_backend {
    ($host:expr, $backend:ident) => {
        script! { $host, $backend,
            cookies {
                the_default_cookie_is_set_renewed_and_removed_with_the_same_attributes,
                the_cookie_for_plain_http_is_set_renewed_and_removed_with_the_same_attributes,
                a_read_by_an_anonymous_visitor_sets_no_cookie,
                a_cookie_is_sent_once,
                responses_that_set_the_cookie_are_not_for_caches,
                responses_that_used_the_session_vary_by_cookie,
                every_visitor_gets_an_id_of_their_own,
            }
            shop {
                visits_are_counted,
                the_page_shows_the_cart_and_no_markup_of_its_visitors,
                forms_are_answered_by_a_redirect_and_json_by_json,
                a_session_knows_its_times,
                remembering_keeps_the_session_for_thirty_days,
                a_cart_that_holds_too_much_is_an_error_in_the_words_of_the_shop,
                bodies_that_cannot_be_read_are_refused_and_change_nothing,
            }
            signing_in {
                signing_in_gives_a_new_id_and_keeps_the_cart,
                the_id_from_before_a_sign_in_is_dead,
                the_id_from_before_a_sign_in_still_logs_out,
                signing_in_again_gives_a_new_id_again,
                logging_out_ends_the_session_for_every_holder_of_the_cookie,
                logging_out_without_a_session_is_harmless,
            }
            hostile {
                a_bad_cookie_is_an_anonymous_visitor,
                a_cookie_signed_under_another_name_is_an_anonymous_visitor,
                a_cookie_signed_by_another_key_is_an_anonymous_visitor,
                a_well_signed_id_that_is_not_stored_is_never_adopted,
                a_nul_byte_is_answered_without_a_server_error,
                a_foreign_cookie_of_any_bytes_does_not_cost_the_session,
                a_good_cookie_is_found_behind_nine_forged_ones,
                cookies_in_several_headers_are_read,
                ids_are_read_from_cookies_only,
            }
            stats {
                without_a_token_there_are_no_stats,
                stats_are_for_whoever_has_the_token,
                stats_hold_no_id_no_user_and_no_data,
            }
            races {
                everything_put_into_the_cart_at_once_is_there,
                visits_at_once_are_all_counted,
                a_logout_among_writes_is_final,
                a_sign_in_among_writes_takes_along_what_was_accepted,
                first_visits_at_once_get_sessions_of_their_own,
            }
        }
    };
}

macro_rules! script_for_memory {
    ($host:expr) => {
        script! { $host, Memory,
            memory {
                settings_are_optional_and_their_absence_is_said,
                sessions_end_with_the_process,
            }
        }
    };
}

#[cfg(feature = "redis")]
macro_rules! script_for_redis {
    ($host:expr) => {
        script! { $host, Redis,
            instances {
                sessions_survive_a_restart_of_the_application,
                two_instances_share_their_sessions,
                a_cookie_of_a_previous_key_is_sent_again_under_the_new_one,
                a_cookie_of_a_retired_key_is_an_anonymous_visitor,
            }
            outages {
                without_redis_the_answer_is_503_and_says_nothing_of_the_cause,
                without_redis_failures_are_answered_in_the_words_of_the_shop,
                without_redis_anonymous_visitors_can_still_read,
                when_redis_comes_back_with_its_data_nobody_was_signed_out,
                when_redis_comes_back_empty_its_sessions_are_gone_and_new_ones_work,
                a_frozen_redis_is_answered_in_time_and_forgotten_when_it_thaws,
                without_redis_at_the_start_the_application_ends_without_naming_the_password,
                with_a_wrong_password_the_application_ends_without_naming_it,
            }
            production {
                the_shop_is_open_on_a_cluster,
                the_shop_is_open_behind_sentinels,
                with_a_fallback_the_shop_opens_before_redis_and_keeps_its_sessions,
                with_a_fallback_an_outage_signs_nobody_out_and_nobody_back_in,
            }
            secrets {
                without_a_secret_the_application_ends_with_advice,
                a_short_secret_ends_the_application_with_advice_and_stays_secret,
                neither_logs_nor_redis_hold_an_id_or_a_signature,
                a_cookie_shaped_like_a_stored_key_is_an_anonymous_visitor,
                every_key_in_redis_has_a_time_to_live,
            }
        }
    };
}
