"""What the generated requests need of the real world: a sale, a buyer, a ticket of one's own, signatures."""
import functools
import hashlib
import hmac
import json
import os
import random
import time
import urllib.error
import urllib.request

import requests.auth
import schemathesis

SALE = os.environ["FLASHSALE_SALE"]
BASE = os.environ["FLASHSALE_BASE"]
BUYER = os.environ["FLASHSALE_BUYER"]
SECRET = os.environ.get("FLASHSALE_PAYMENT_SECRET", "").encode()
random.seed(1)


@functools.cache
def own_ticket():
    """A ticket of the buyer's own, bought once; nothing if the sale is sold out."""
    try:
        with urllib.request.urlopen(f"{BASE}/v1/sales/{SALE}") as answer:
            items = json.load(answer)["items"]
        body = json.dumps({"item": items[0]["id"], "quantity": 1}).encode()
        request = urllib.request.Request(f"{BASE}/v1/sales/{SALE}/purchases", body, {"X-Buyer-Id": BUYER})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["ticket"]
    except urllib.error.HTTPError:
        return None


class Signed(requests.auth.AuthBase):
    """Signs a payment report as the provider does."""

    def __call__(self, request):
        body = request.body or b""
        body = body if isinstance(body, bytes) else body.encode()
        seconds = int(time.time())
        signature = hmac.new(SECRET, b"%d." % seconds + body, hashlib.sha256).hexdigest()
        request.headers["Flashsale-Signature"] = f"t={seconds},v1={signature}"
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.path_parameters or {}
    if "sale" in path and random.random() < 0.8:
        path["sale"] = SALE
    if "ticket" in path and random.random() < 0.6:
        path["ticket"] = own_ticket() or path["ticket"]
    if SECRET and case.path.endswith("/payments/callback") and random.random() < 0.8:
        kwargs["auth"] = Signed()
        if isinstance(case.body, dict) and "currency" in case.body and random.random() < 0.5:
            case.body["currency"] = "EUR"


@schemathesis.auth()
class Buyer:
    """One buyer for the whole run."""

    def get(self, case, context):
        return BUYER

    def set(self, case, data, context):
        if not case.path.endswith("/payments/callback"):
            case.headers["X-Buyer-Id"] = data
