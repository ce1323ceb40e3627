-- Transfers of 1.00 between random wallets: wrk … -- IDS_FILE uniform|hot KEY_PREFIX COMMANDS_PER_REQUEST REQUESTS_PER_S|0 CREDENTIAL
-- One command is a transfer of its own, more are an independent batch. With a rate, requests are due at even steps.
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } bench_time; int gettimeofday(bench_time *, void *);")

local ids = {}
local hot, prefix, sent, commands, credential = false, "", 0, 1, ""
local step_ms, due_ms = 0, 0
local time = ffi.new("bench_time")

local function now_ms()
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.s) * 1000 + tonumber(time.us) / 1000
end

local function due_in_ms()
  local now = now_ms()
  due_ms = math.max(due_ms + step_ms, now - 1000)
  return math.max(0, math.floor(due_ms - now + 0.5))
end

local function must_be_done(status, _, body)
  local at = body:find('"body":null', 1, true)
  if status ~= 200 or at then error("a command of a batch was not carried out: " .. body:sub(at or 1, (at or 1) + 300)) end
end

local function transfer(tag)
  local payer = hot and 1 or math.random(#ids)
  local payee = math.random(#ids)
  while payee == payer do payee = math.random(#ids) end
  return '{' .. tag .. '"source_wallet_id":"' .. ids[payer] .. '","destination_wallet_id":"' .. ids[payee]
    .. '","amount":{"amount":"1.00","currency":"USD"}}'
end

local function batch()
  local each = {}
  for n = 1, commands do each[n] = transfer('"type":"transfer",') end
  return '{"mode":"independent","commands":[' .. table.concat(each, ",") .. ']}'
end

function init(args)
  for line in io.lines(args[1]) do ids[#ids + 1] = line end
  hot, prefix, commands = args[2] == "hot", args[3], tonumber(args[4])
  credential = args[6]
  math.randomseed(os.time())
  if commands > 1 then response = must_be_done end
  step_ms, due_ms = 1000 / tonumber(args[5]), now_ms()
  if step_ms < math.huge then delay = due_in_ms end
end

function request()
  sent = sent + 1
  local path = commands > 1 and "/v1/batches" or "/v1/transfers"
  return wrk.format("POST", path, {["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. credential, ["Idempotency-Key"] = prefix .. "-" .. sent},
    commands > 1 and batch() or transfer(""))
end
