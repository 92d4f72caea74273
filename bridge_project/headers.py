"""Owns what a browser is told not to do with the pages of this site: the values of its security headers.

The API lane sends none of them: programs ask there, with a key that no browser adds by itself.
"""

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

#: For every page but those that say otherwise. Scripts are files of this server, never words in a page.
PAGES = {
    "default-src": [NONE],
    "script-src": [SELF, UNSAFE_EVAL],  # Alpine makes functions of the attributes that the admin's templates hold
    "script-src-attr": [NONE],
    "style-src": [SELF, UNSAFE_INLINE],  # the admin's colours, and widths that its scripts set
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
#: A page without scripts, pictures or forms: its one style sheet carries the nonce.
WELCOME = {
    "default-src": [NONE],
    "style-src": [NONCE],
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [NONE],
}
#: What no page here ever asks a browser for.
UNUSED_FEATURES: dict[str, list[str]] = {
    name: []
    for name in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "encrypted-media",
        "fullscreen",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
}
