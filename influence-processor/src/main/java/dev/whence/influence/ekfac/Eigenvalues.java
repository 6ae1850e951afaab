package dev.whence.influence.ekfac;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.influence.InfluenceException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Lambda of complete factors, as its file holds it.
 *
 * @param lambda [O, I] of each layer by its name, row by row: the file's sums over N
 * @param stage what the factors are of
 * @param eigenvectors checksum of the file of the eigenvectors that it was summed in
 * @param checksum of the file itself
 */
record Eigenvalues(
    List<LinearLayer> layers,
    Map<String, double[]> lambda,
    EkfacFactors.Stage stage,
    String eigenvectors,
    String checksum) {
  /**
   * Reads a file's arrays.
   *
   * @param file open, and so checked; stays the caller's
   * @throws InfluenceException that names it if it holds what can be no Lambda
   */
  static Eigenvalues read(ArrayFile file) {
    Path path = file.path();
    JsonNode header = file.header();
    List<LinearLayer> layers = FactorHeader.layers(header, path);
    EkfacFactors.Stage stage = FactorHeader.stage(header);
    if (!(stage.tokens() > 0)) {
      throw new InfluenceException(path + " counts no token.");
    }
    Map<String, double[]> lambda = new LinkedHashMap<>();
    for (LinearLayer layer : layers) {
      double[] values = file.array("Lambda " + layer.name(), layer.elements());
      for (int i = 0; i < values.length; i++) {
        values[i] /= stage.tokens();
        if (!(values[i] >= 0) || Double.isInfinite(values[i])) {
          throw new InfluenceException(
              path
                  + ": Lambda of "
                  + layer.name()
                  + " has the value "
                  + values[i]
                  + ", where squares are summed.");
        }
      }
      lambda.put(layer.name(), values);
    }
    return new Eigenvalues(
        layers, lambda, stage, header.path("eigenvectors").asText(), file.checksum());
  }
}
