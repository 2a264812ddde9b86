// Apache Iceberg's own code, as the judge of tables and as a REST catalog: compiled and run by the
// Firehose suite.
//
//   create WAREHOUSE DATABASE.TABLE SCHEMA SPEC   a table of the Hadoop catalog, from two JSON files
//   read WAREHOUSE DATABASE.TABLE [FILTER ...]    its rows, a JSON object a line; one line of
//                                                 `{"count": N}` for each filter, `COLUMN=JSON`
//   serve PORT WAREHOUSE SECRET                   a REST catalog over the same tables, which knows
//                                                 those who fetched a token with the secret
//
// In Iceberg's package, since what a server needs of its REST code is not public.
package org.apache.iceberg.rest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.PartitionSpecParser;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SchemaParser;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.hadoop.HadoopCatalog;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.rest.HTTPRequest.HTTPMethod;
import org.apache.iceberg.rest.responses.ErrorResponse;
import org.apache.iceberg.rest.responses.ErrorResponseParser;
import org.apache.iceberg.types.Types.NestedField;
import org.apache.iceberg.util.Pair;

public class IcebergTables {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String TOKEN = "a-token-for-this-run";

  public static void main(String[] arguments) throws Exception {
    switch (arguments[0]) {
      case "create" -> create(arguments);
      case "read" -> read(arguments);
      case "serve" -> new IcebergTables(arguments).serve(Integer.parseInt(arguments[1]));
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  private static HadoopCatalog catalog(String warehouse) {
    return new HadoopCatalog(new Configuration(), warehouse);
  }

  private static void create(String[] arguments) throws Exception {
    try (HadoopCatalog catalog = catalog(arguments[1])) {
      TableIdentifier name = TableIdentifier.parse(arguments[2]);
      Schema schema = SchemaParser.fromJson(Files.readString(Path.of(arguments[3])));
      JsonNode spec = JSON.readTree(Files.readString(Path.of(arguments[4])));
      PartitionSpec bound = PartitionSpecParser.fromJson(schema, spec);
      Map<String, String> properties = Map.of("format-version", "2");
      catalog.createTable(name, schema, bound, properties);
    }
  }

  private static void read(String[] arguments) throws Exception {
    try (HadoopCatalog catalog = catalog(arguments[1])) {
      Table table = catalog.loadTable(TableIdentifier.parse(arguments[2]));
      try (CloseableIterable<Record> rows = IcebergGenerics.read(table).build()) {
        for (Record row : rows) {
          System.out.println(JSON.writeValueAsString(plain(row)));
        }
      }
      for (int index = 3; index < arguments.length; index++) {
        String[] filter = arguments[index].split("=", 2);
        JsonNode value = JSON.readTree(filter[1]);
        Object literal = value.isNumber() ? value.numberValue() : value.asText();
        Expression where = Expressions.equal(filter[0], literal);
        long count = 0;
        try (CloseableIterable<Record> rows = IcebergGenerics.read(table).where(where).build()) {
          for (Record ignored : rows) {
            count++;
          }
        }
        System.out.println(JSON.writeValueAsString(Map.of("count", count)));
      }
    }
  }

  private static Object plain(Object value) {
    if (value instanceof Record row) {
      Map<String, Object> members = new LinkedHashMap<>();
      for (NestedField field : row.struct().fields()) {
        members.put(field.name(), plain(row.getField(field.name())));
      }
      return members;
    }
    if (value instanceof List<?> values) {
      List<Object> each = new ArrayList<>();
      values.forEach(one -> each.add(plain(one)));
      return each;
    }
    if (value instanceof Map<?, ?> entries) {
      Map<String, Object> each = new LinkedHashMap<>();
      entries.forEach((key, one) -> each.put(String.valueOf(plain(key)), plain(one)));
      return each;
    }
    if (value instanceof ByteBuffer buffer) {
      byte[] bytes = new byte[buffer.remaining()];
      buffer.duplicate().get(bytes);
      return HexFormat.of().formatHex(bytes);
    }
    if (value instanceof byte[] bytes) {
      return HexFormat.of().formatHex(bytes);
    }
    if (value instanceof BigDecimal decimal) {
      return decimal.toPlainString();
    }
    boolean isPlain = value == null || value instanceof Number || value instanceof Boolean;
    return isPlain ? value : value.toString();
  }

  private final HadoopCatalog catalog;
  private final RESTCatalogAdapter adapter;
  private final String secret;
  /** What is to go wrong with the next commit: `conflict`, or `lose` for an answer that is lost. */
  private final AtomicReference<String> fault = new AtomicReference<>("");

  private IcebergTables(String[] arguments) {
    this.catalog = catalog(arguments[2]);
    this.adapter = new RESTCatalogAdapter(catalog);
    this.secret = arguments[3];
  }

  private void serve(int port) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 16);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.createContext("/", this::handle);
    server.start();
  }

  private void handle(HttpExchange exchange) throws IOException {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    String path = exchange.getRequestURI().getPath().substring(1);
    try {
      if (path.startsWith("control/")) {
        fault.set(path.substring("control/".length()));
        answer(exchange, 200, "{}");
      } else if (path.equals("v1/oauth/tokens")) {
        boolean isKnown = parse(body).getOrDefault("client_secret", "").equals(secret);
        String token = "{\"access_token\":\"" + TOKEN + "\",\"token_type\":\"bearer\",\"expires_in\":3600}";
        answer(exchange, isKnown ? 200 : 401, isKnown ? token : "{}");
      } else if (!("Bearer " + TOKEN).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
        answer(exchange, 401, error(401, "NotAuthorizedException", "no token"));
      } else {
        route(exchange, path, body);
      }
    } catch (Exception failure) {
      ErrorResponse.Builder response = ErrorResponse.builder();
      RESTCatalogAdapter.configureResponseFromException(failure, response);
      ErrorResponse built = response.build();
      answer(exchange, built.code(), ErrorResponseParser.toJson(built));
    } finally {
      exchange.close();
    }
  }

  private void route(HttpExchange exchange, String path, String body) throws Exception {
    HTTPMethod method = HTTPMethod.valueOf(exchange.getRequestMethod());
    Pair<RESTCatalogAdapter.Route, Map<String, String>> found = RESTCatalogAdapter.Route.from(method, path);
    if (found == null) {
      answer(exchange, 400, error(400, "BadRequestException", "no route for " + path));
      return;
    }
    Map<String, String> variables = new LinkedHashMap<>(found.second());
    variables.putAll(parse(exchange.getRequestURI().getRawQuery()));
    Class<? extends RESTRequest> kind = found.first().requestClass();
    Object request = kind == null ? null : RESTObjectMapper.mapper().readValue(body, kind);
    boolean isCommit = found.first() == RESTCatalogAdapter.Route.UPDATE_TABLE;
    String wrong = isCommit ? fault.getAndSet("") : "";
    if (wrong.equals("conflict")) {
      Namespace database = Namespace.of(variables.get("namespace"));
      catalog.loadTable(TableIdentifier.of(database, variables.get("table"))).newFastAppend().commit();
    }
    RESTResponse response =
        adapter.handleRequest(found.first(), variables, request, found.first().responseClass());
    if (wrong.equals("lose")) {
      answer(exchange, 504, error(504, "ServiceFailureException", "the answer is lost"));
      return;
    }
    String text = response == null ? "" : RESTObjectMapper.mapper().writeValueAsString(response);
    answer(exchange, 200, text);
  }

  private static String error(int code, String kind, String message) {
    ErrorResponse response =
        ErrorResponse.builder().responseCode(code).withType(kind).withMessage(message).build();
    return ErrorResponseParser.toJson(response);
  }

  private static Map<String, String> parse(String query) {
    Map<String, String> found = new LinkedHashMap<>();
    for (String pair : (query == null ? "" : query).split("&")) {
      String[] parts = pair.split("=", 2);
      if (parts.length == 2) {
        found.put(parts[0], URLDecoder.decode(parts[1], StandardCharsets.UTF_8));
      }
    }
    return found;
  }

  private static void answer(HttpExchange exchange, int status, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", "application/json");
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    if (bytes.length > 0) {
      exchange.getResponseBody().write(bytes);
    }
  }
}
