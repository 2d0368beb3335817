"""The identity service's errors: Microsoft Entra's AADSTS numbers, OAuth error codes, HTTP statuses and wording.

Follows "Microsoft Entra authentication and authorization error codes" and RFC 6749, 5.2.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any


class AadError(Exception):
    """An answer of a token, device code or authorize endpoint."""

    def __init__(self, number: int, error: str, message: str, status: int = 400) -> None:
        super().__init__(f"AADSTS{number}: {message}")
        self.number = number
        self.error = error
        self.message = message
        self.status = status

    def body(self, endpoint: str) -> dict[str, Any]:
        """The JSON a client gets."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
        return {
            "error": self.error,
            "error_description": (
                f"AADSTS{self.number}: {self.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
            ),
            "error_codes": [self.number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{endpoint}/error?code={self.number}",
        }


def missing(parameter: str) -> AadError:
    return AadError(900144, "invalid_request", f"The request body must contain the following parameter: '{parameter}'.")


def unknown_tenant(tenant: str, error: str = "invalid_request") -> AadError:
    return AadError(
        90002,
        error,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    )


def unknown_application(client: str, tenant: str) -> AadError:
    return AadError(
        700016,
        "unauthorized_client",
        f"Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    )


def wrong_secret(client: str) -> AadError:
    return AadError(
        7000215,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        f"the client secret ID, for a secret added to app '{client}'.",
        401,
    )


def missing_secret() -> AadError:
    return AadError(
        7000216,
        "invalid_client",
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
        401,
    )


def wrong_password() -> AadError:
    return AadError(50126, "invalid_grant", "Error validating credentials due to invalid username or password.")


def locked() -> AadError:
    return AadError(
        50053,
        "invalid_grant",
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
    )


def unknown_resource(resource: str, tenant: str) -> AadError:
    return AadError(
        500011,
        "invalid_resource",
        f"The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    )


def unsupported_grant(grant: str) -> AadError:
    return AadError(70003, "unsupported_grant_type", f"The app requested an unsupported grant type '{grant}'.")


def pending() -> AadError:
    return AadError(
        70016,
        "authorization_pending",
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    )


def device_code_expired() -> AadError:
    return AadError(70020, "expired_token", "The provided value for the input parameter 'device_code' is expired.")


def bad_device_code() -> AadError:
    return AadError(
        90019,
        "bad_verification_code",
        "The provided value for the input parameter 'device_code' is not valid.",
    )


def spent_code() -> AadError:
    return AadError(
        54005, "invalid_grant", "OAuth2 Authorization code was already redeemed, please retry with a new valid code."
    )


def wrong_verifier() -> AadError:
    return AadError(
        501481,
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    )


def pkce_required() -> AadError:
    return AadError(
        9002325,
        "invalid_request",
        "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
    )


def wrong_redirect(redirect: str, client: str) -> AadError:
    return AadError(
        50011,
        "invalid_request",
        f"The redirect URI '{redirect}' specified in the request does not match the redirect URIs configured for the "
        f"application '{client}'.",
    )


def expired_refresh_token() -> AadError:
    return AadError(
        700082,
        "invalid_grant",
        "The refresh token has expired due to inactivity. Sign in again with 'az login'.",
    )


def revoked() -> AadError:
    """The password has changed, or the user's sessions were ended."""
    return AadError(
        50173,
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed "
        "or reset their password.",
    )


def bad_refresh_token() -> AadError:
    """Not ours, tampered with, or another application's."""
    return AadError(70000, "invalid_grant", "The provided value for the input parameter 'refresh_token' is not valid.")


def unknown_user(tenant: str) -> AadError:
    """Somebody who was removed since."""
    return AadError(
        50034,
        "invalid_grant",
        f"The user account does not exist in the '{tenant}' directory. To sign into this application, the account must be "
        "added to the directory.",
    )


def unsupported_response_type(kind: str) -> AadError:
    return AadError(700054, "unsupported_response_type", f"response_type '{kind}' is not enabled for the application.")
