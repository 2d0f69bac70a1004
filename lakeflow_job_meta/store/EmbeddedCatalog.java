import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.catalyst.analysis.NoSuchTableException;
import org.apache.spark.sql.connector.catalog.*;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.delta.catalog.DeltaCatalog;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * A catalog of the embedded store, as Spark sees it: schema.table is the folder schema/table below the option `root`.
 *
 * What exists is reached by its path. What is made is declared in Spark's own catalog of this session too, under a
 * schema named after both names, since Delta makes no table by path alone; only its location matters.
 *
 * It is compiled in the session by Janino, Spark's own compiler, which knows no generics to speak of and no lambdas.
 */
public class EmbeddedCatalog extends DeltaCatalog {
  private String catalog;
  private File root;

  public void initialize(String name, CaseInsensitiveStringMap options) {
    super.initialize(name, options);
    catalog = name;
    root = new File(options.get("root"));
    setDelegateCatalog((CatalogPlugin) ((org.apache.spark.sql.classic.SparkSession)
        org.apache.spark.sql.SparkSession.active()).sessionState().catalogManager().v2SessionCatalog());
  }

  public String name() {
    return catalog == null ? super.name() : catalog;
  }

  public boolean tableExists(Identifier table) {
    return new File(place(table), "_delta_log").isDirectory();
  }

  public Table loadTable(Identifier table) throws NoSuchTableException {
    return super.loadTable(existing(table));
  }

  public Table loadTable(Identifier table, String version) throws NoSuchTableException {
    return super.loadTable(existing(table), version);
  }

  public Table loadTable(Identifier table, long timestamp) throws NoSuchTableException {
    return super.loadTable(existing(table), timestamp);
  }

  public Table createTable(Identifier table, Column[] columns, Transform[] parts, Map properties) throws Exception {
    return super.createTable(declared(table), columns, parts, located(table, properties));
  }

  public Table createTable(Identifier table, StructType schema, Transform[] parts, Map properties) throws Exception {
    return super.createTable(declared(table), schema, parts, located(table, properties));
  }

  public StagedTable stageCreate(Identifier table, StructType schema, Transform[] parts, Map properties)
      throws Exception {
    return super.stageCreate(declared(table), schema, parts, located(table, properties));
  }

  public StagedTable stageReplace(Identifier table, StructType schema, Transform[] parts, Map properties)
      throws Exception {
    if (!tableExists(table)) throw new NoSuchTableException(table);
    return super.stageCreateOrReplace(declared(table), schema, parts, located(table, properties));
  }

  public StagedTable stageCreateOrReplace(Identifier table, StructType schema, Transform[] parts, Map properties)
      throws Exception {
    return super.stageCreateOrReplace(declared(table), schema, parts, located(table, properties));
  }

  public Table alterTable(Identifier table, TableChange[] changes) {
    return super.alterTable(path(table), changes);
  }

  public boolean dropTable(Identifier table) {
    return tableExists(table) && deleted(place(table));
  }

  public Identifier[] listTables(String[] namespace) {
    List found = new ArrayList();
    String[] names = folder(namespace).list();
    for (int i = 0; names != null && i < names.length; i++) {
      Identifier each = Identifier.of(namespace, names[i]);
      if (tableExists(each)) found.add(each);
    }
    return (Identifier[]) found.toArray(new Identifier[0]);
  }

  public String[][] listNamespaces() {
    String[] names = root.list();
    String[][] found = new String[names == null ? 0 : names.length][];
    for (int i = 0; i < found.length; i++) found[i] = new String[] {names[i]};
    return found;
  }

  public boolean namespaceExists(String[] namespace) {
    return folder(namespace).isDirectory();
  }

  public Map loadNamespaceMetadata(String[] namespace) {
    return new HashMap();
  }

  public void createNamespace(String[] namespace, Map metadata) {
    folder(namespace).mkdirs();
  }

  private File folder(String[] namespace) {
    return namespace.length == 1 ? new File(root, namespace[0].toLowerCase()) : root;
  }

  /** Where a table lies: Delta asks us again, by the path that we gave it or by the name that we declared. */
  private File place(Identifier table) {
    if (table.name().startsWith("/")) return new File(table.name());
    return new File(new File(root, schema(table)), table.name().toLowerCase());
  }

  private String schema(Identifier table) {
    String name = table.namespace()[0].toLowerCase();
    return name.startsWith(prefix()) ? name.substring(prefix().length()) : name;
  }

  private String prefix() {
    return catalog + "__";
  }

  private Identifier path(Identifier table) {
    return Identifier.of(new String[] {"delta"}, place(table).getPath());
  }

  private Identifier existing(Identifier table) throws NoSuchTableException {
    if (!tableExists(table)) throw new NoSuchTableException(table);
    return path(table);
  }

  private Identifier declared(Identifier table) throws Exception {
    String[] schema = new String[] {prefix() + schema(table)};
    Identifier known = Identifier.of(schema, table.name().toLowerCase());
    if (!super.namespaceExists(schema)) super.createNamespace(schema, new HashMap());
    super.dropTable(known);
    return known;
  }

  private Map located(Identifier table, Map properties) {
    Map all = new HashMap(properties);
    all.put("location", place(table).getPath());
    if (!all.containsKey("provider")) all.put("provider", "delta");
    return all;
  }

  private boolean deleted(File file) {
    File[] inside = file.listFiles();
    for (int i = 0; inside != null && i < inside.length; i++) deleted(inside[i]);
    return file.delete();
  }
}
