-- A purchase as a browser sends it.
wrk.method = "POST"
wrk.path = "/v1/sales/phone-launch/purchases"
wrk.body = '{"item":"phone-15-black","quantity":1}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
wrk.headers["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
wrk.headers["Origin"] = "https://shop.example"
wrk.headers["Referer"] = "https://shop.example/sales/phone-launch"
wrk.headers["X-Buyer-Id"] = "buyer-0123456789"
wrk.headers["Idempotency-Key"] = "0f8fad5b-d9cb-469f-a165-70867728950e"
