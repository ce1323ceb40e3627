-- Transfers of 1.00 between random wallets, each under a key of its own: wrk … -- IDS_FILE uniform|hot PREFIX
local ids = {}
local hot, prefix, sent = false, "", 0

function init(args)
  for line in io.lines(args[1]) do ids[#ids + 1] = line end
  hot = args[2] == "hot"
  prefix = args[3]
  math.randomseed(os.time())
end

function request()
  sent = sent + 1
  local payer = hot and 1 or math.random(#ids)
  local payee = math.random(#ids)
  while payee == payer do payee = math.random(#ids) end
  local body = '{"source_wallet_id":"' .. ids[payer] .. '","destination_wallet_id":"' .. ids[payee]
    .. '","amount":{"amount":"1.00","currency":"USD"}}'
  return wrk.format("POST", "/v1/transfers",
    {["Content-Type"] = "application/json", ["Idempotency-Key"] = prefix .. "-" .. sent}, body)
end
