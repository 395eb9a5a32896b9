//! The routes in one table: path, method and the role that each needs. The router, the check of roles and the test of the
//! description all go by it.

use crate::tokens::Role;
use axum::routing::MethodFilter;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Whether control is alive.
    Health,
    /// Control's metrics and the data plane's.
    Metrics,
    /// The description of this interface.
    OpenApi,
    /// Everything that control knows.
    Status,
    /// The snapshots that can be had again.
    Snapshots,
    /// One of them.
    Snapshot,
    /// Publish the configuration.
    Reload,
    /// Publish the content of an earlier snapshot.
    Rollback,
}

impl Route {
    /// All of them.
    pub const ALL: [Route; 8] = [
        Route::Health,
        Route::Metrics,
        Route::OpenApi,
        Route::Status,
        Route::Snapshots,
        Route::Snapshot,
        Route::Reload,
        Route::Rollback,
    ];

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Route::Health => "/health",
            Route::Metrics => "/metrics",
            Route::OpenApi => "/v1/openapi.json",
            Route::Status => "/v1/status",
            Route::Snapshots => "/v1/snapshots",
            Route::Snapshot => "/v1/snapshots/{number}",
            Route::Reload => "/v1/reload",
            Route::Rollback => "/v1/snapshots/{number}/rollback",
        }
    }

    /// Its method, as the description has it.
    pub fn method_name(self) -> &'static str {
        match self {
            Route::Reload | Route::Rollback => "post",
            _ => "get",
        }
    }

    /// The role that it needs; none: it is open.
    pub fn role(self) -> Option<Role> {
        match self {
            Route::Health => None,
            Route::Reload | Route::Rollback => Some(Role::Operator),
            _ => Some(Role::Observer),
        }
    }

    pub(super) fn method(self) -> MethodFilter {
        match self.method_name() {
            "post" => MethodFilter::POST,
            _ => MethodFilter::GET,
        }
    }
}
