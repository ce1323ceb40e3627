-- The schema and servicekit.migration are made by the migrations runner itself.
GRANT USAGE ON SCHEMA servicekit TO :"app_role";
GRANT SELECT ON servicekit.migration TO :"app_role";
