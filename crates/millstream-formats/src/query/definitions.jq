# What the language has beyond its natives: the builtins of jq 1.6 that neither ask the outside
# world for something nor tell it something. No definition may call itself with filter arguments
# that grow (see `program`).

def empty: {}[] as $x | .;
def error: error_empty as $x | .;
def error(message): (message | error_empty) as $x | .;

def not: if . then false else true end;
def select(f): if f then . else empty end;
def tostring: "\(.)";

def range(from; to): range(from; to; 1);
def range(to): range(0; to; 1);
def recurse(f): def rec: ., (f | rec); rec;
def recurse: recurse(.[]?);
def recurse(f; cond): recurse(f | select(cond));
def recurse_down: recurse;
def repeat(f): def rec: ., (f | rec); rec;
def while(cond; update): def rec: if cond then ., (update | rec) else empty end; rec;
def until(cond; update): def rec: if cond then . else update | rec end; rec;

def first: .[0];
def last: .[-1];
def nth(n): .[n];
def nth(n; f): last(limit(n + 1; f));
def isempty(f): first((f | false), true);
def any(f; cond): isempty(f | cond or empty) | not;
def all(f; cond): isempty(f | cond and empty);
def any(cond): any(.[]; cond);
def all(cond): all(.[]; cond);
def any: any(.);
def all: all(.);

def map(f): [.[] | f];
def map_values(f): .[] |= f;
def walk(f): .. |= f;

def getpath($path): reduce $path[] as $p (.; .[$p]);
def setpath($path; $x): getpath($path) = $x;
def paths: path(..) | select(length > 0);
def paths(f): . as $root | paths | select(. as $p | $root | getpath($p) | f);
def del(f): delpaths([path(f)]);

def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type | . == "array" or . == "object");
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def nulls: select(. == null);
def values: select(. != null);
def scalars: select(type | . != "array" and . != "object");
def scalars_or_empty: scalars;
def isfinite: type == "number" and (isinfinite | not);
def finites: select(isinfinite or isnan | not);
def normals: select(isnormal);
def leaf_paths: paths(scalars);

def from_entries:
  reduce .[] as $x ({};
    . + { ($x | .key // .k // .name // .Name // .K // .Key):
          ($x | if has("value") then .value else .Value end) });
def with_entries(f): to_entries | map(f) | from_entries;
def in(xs): . as $x | xs | has($x);
def inside(xs): . as $x | xs | contains($x);
def index($i): indices($i) | .[0];
def rindex($i): indices($i) | .[-1:][0];
def combinations:
  if length == 0 then [] else
    .[0][] as $x | (.[1:] | combinations) as $rest | [$x] + $rest
  end;
def combinations(n): . as $x | [range(n)] | map($x) | combinations;
def transpose:
  . as $in | (map(length) | max // 0) as $width
  | [range($width) as $j | [range($in | length) as $i | $in[$i][$j]]];

def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] |= $row);
def INDEX(f): INDEX(.[]; f);
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def JOIN($index; f): [.[] | [., $index[f]]];
def JOIN($index; stream; f): stream | [., $index[f]];
def JOIN($index; stream; f; join): stream | [., $index[f]] | join;

def tostream: path(def rec: (.[]? | rec), .; rec) as $p
  | getpath($p)
  | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def fromstream(events):
  foreach events as $event (null;
    (if type == "object" and .whole then null else . end)
    | ($event[0] | length) as $depth
    | if $event | length == 2 then
        if $depth == 0 then { whole: true, value: $event[1] }
        else { whole: false, value: (.value | setpath($event[0]; $event[1])) } end
      else { whole: ($depth == 1), value: .value } end;
    if .whole then .value else empty end);
def truncate_stream(stream): . as $depth
  | null | stream
  | if (.[0] | length) > $depth then setpath([0]; .[0][$depth:]) else empty end;

def match(re; flags): match_(re; flags)[];
def match($val): ($val | type) as $type
  | if $type == "string" then match($val; null)
    elif $type == "array" and ($val | length) > 1 then match($val[0]; $val[1])
    elif $type == "array" and ($val | length) > 0 then match($val[0]; null)
    else error($type + " not a string or array") end;
def test(re; flags): test_(re; flags);
def test($val): ($val | type) as $type
  | if $type == "string" then test($val; null)
    elif $type == "array" and ($val | length) > 1 then test($val[0]; $val[1])
    elif $type == "array" and ($val | length) > 0 then test($val[0]; null)
    else error($type + " not a string or array") end;
def captured: [.captures[] | select(.name != null) | { (.name): .string }] | add // {};
def capture(re; flags): match(re; flags) | captured;
def capture($val): match($val) | captured;
def scan(re): match(re; "g")
  | if (.captures | length) > 0 then [.captures[].string] else .string end;
def split(re; flags): . as $in
  | [foreach (match(re; flags + "g"), null) as $m ({ at: 0 };
      .part = (if $m == null then $in[.at:] else $in[.at:$m.offset] end)
      | if $m == null then . else .at = $m.offset + $m.length end;
      .part)];
def splits(re; flags): split(re; flags)[];
def splits(re): splits(re; null);
def sub(re; f; flags): . as $in
  | reduce match(re; flags) as $m ({ at: 0, out: "" };
      .out += $in[.at:$m.offset] + ($m | captured | f) | .at = $m.offset + $m.length)
  | .out + $in[.at:];
def sub(re; f): sub(re; f; "");
def gsub(re; f; flags): sub(re; f; flags + "g");
def gsub(re; f): sub(re; f; "g");

def todate: strftime("%Y-%m-%dT%H:%M:%SZ");
def fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime;
def todateiso8601: todate;
def fromdate: fromdateiso8601;
def localtime: gmtime;
def strflocaltime($format): strftime($format);

def @text: tostring;
def @json: tojson;
