package dev.whence.runtime.config;

/**
 * Where health and metrics are served.
 *
 * @param bind address; loopback unless configured
 * @param port 0 for any free one, -1 for none
 */
public record HttpEndpoint(String bind, int port) {
  public static final HttpEndpoint DEFAULT = new HttpEndpoint("127.0.0.1", 8080);

  static HttpEndpoint read(Settings settings) {
    return new HttpEndpoint(
        settings.text("http.bind", DEFAULT.bind),
        settings.integer("http.port", DEFAULT.port, -1, 65_535));
  }
}
